package check_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"secrets-provider-aws/cmd/secrets-provider-aws/check"
	"secrets-provider-aws/docs"
)

// The estimate of check and the table of the reference use the same formula.
func TestRotation_CostsWhatTheReferenceSays(t *testing.T) {
	rows, err := docs.Table("reference.md", "What rotation costs")
	if err != nil || len(rows) < 5 {
		t.Fatalf("%d rows: %v", len(rows), err)
	}
	number := func(cell string) int {
		n, err := strconv.Atoi(strings.ReplaceAll(cell, ",", ""))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, row := range rows {
		nodes, accounts, objects := number(row[0]), number(row[1]), number(row[2])
		interval, err := time.ParseDuration(row[3])
		if err != nil {
			t.Fatal(err)
		}
		cost := reportOn(t, check.Options{Nodes: nodes, RefreshInterval: interval}, shops(accounts, objects)).Rotation
		if cost == nil || len(cost.Costs) != accounts {
			t.Fatalf("%v: the estimate is %+v", row, cost)
		}
		if cost.ReadsPerDay != int64(number(row[4])) || cost.USDPerMonth != float64(number(row[5])) {
			t.Errorf("check says %d reads per day and %.2f USD per month, the reference %s and %s", cost.ReadsPerDay, cost.USDPerMonth, row[4], row[5])
		}
	}
}

// A selection costs its pages, and an object of another region is another read.
func TestRotation_SelectionsCostPages(t *testing.T) {
	manifest := classHead + "  parameters:\n    region: eu-west-1\n    roleArn: arn:aws:iam::123456789012:role/shop\n    objects: |\n" +
		"      - {objectName: prod/*, objectType: secretsmanager, maxObjects: 41}\n" +
		"      - {objectName: prod/*, objectType: secretsmanager, objectAlias: \"team-*\", maxObjects: 20, tags: {team: a}}\n" +
		"      - {objectName: db, objectType: secretsmanager}\n" +
		"      - {objectName: db, objectType: secretsmanager, objectAlias: copy}\n" +
		"      - {objectName: db, objectType: secretsmanager, objectAlias: us, region: us-east-1}\n"
	cost := reportOn(t, check.Options{Nodes: 1, RefreshInterval: time.Hour}, manifest).Rotation
	if cost == nil || len(cost.Costs) != 1 || cost.Costs[0].Secrets != 3+1+1+1 || cost.ReadsPerDay != 6*24 {
		t.Errorf("the estimate is %+v, want 6 reads per hour", cost)
	}
}

// shops is a class with a number of secrets, and pods of several ServiceAccounts that mount it.
func shops(accounts, objects int) string {
	var b strings.Builder
	b.WriteString(classHead + "  parameters:\n    region: eu-west-1\n    roleArn: arn:aws:iam::123456789012:role/shop\n    objects: |\n")
	for i := range objects {
		fmt.Fprintf(&b, "      - {objectName: secret-%d, objectType: secretsmanager}\n", i)
	}
	for i := range accounts {
		fmt.Fprintf(&b, `---
apiVersion: v1
kind: Pod
metadata: {name: shop-%[1]d, namespace: payments}
spec:
  serviceAccountName: shop-%[1]d
  containers: [{name: shop, image: shop, volumeMounts: [{name: db, mountPath: /db}]}]
  volumes: [{name: db, csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: db}}}]
`, i)
	}
	return b.String()
}
