package check_test

import (
	"fmt"
	"strings"
	"testing"

	"secrets-provider-aws/cmd/secrets-provider-aws/check"
)

// reportOn is the report on one text.
func reportOn(t testing.TB, o check.Options, text string) *check.Report {
	t.Helper()
	report, err := check.Manifests([]string{check.Stdin}, strings.NewReader(text), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// printed lists the findings as printed, without the file's name.
func printed(r *check.Report) []string {
	var list []string
	for _, f := range r.Findings {
		list = append(list, strings.TrimPrefix(f.String(), "<stdin>:"))
	}
	return list
}

const classHead = `apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata:
  name: db
  namespace: payments
spec:
  provider: aws
`

// withSpec is a SecretProviderClass with more lines in its spec.
func withSpec(lines ...string) string {
	return classHead + "  " + strings.Join(lines, "\n  ") + "\n"
}

// oneObject are the parameters of a valid class with one secret.
const oneObject = `parameters:
    region: ap-south-1
    objects: |
      - objectName: prod/db
        objectType: secretsmanager`

const rightAccount = `---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: payment-sa
  namespace: payments
  annotations:
    eks.amazonaws.com/role-arn: arn:aws:iam::123456789012:role/payment-role
`

// aPod is a pod with one volume with these csi lines.
func aPod(csi ...string) string {
	return fmt.Sprintf(`---
apiVersion: v1
kind: Pod
metadata:
  name: app
  namespace: payments
spec:
  serviceAccountName: payment-sa
  containers:
    - name: app
      volumeMounts:
        - {name: secrets, mountPath: /mnt/secrets}
  volumes:
    - name: secrets
      csi:
        %s
`, strings.Join(csi, "\n        "))
}

var rightVolume = []string{
	"driver: secrets-store.csi.k8s.io", "readOnly: true", "volumeAttributes:", "  secretProviderClass: db",
}

// lineOf is the line and column of part in text.
func lineOf(t testing.TB, text, part string) (line, column int) {
	t.Helper()
	before, _, ok := strings.Cut(text, part)
	if !ok {
		t.Fatalf("%q is not in the text", part)
	}
	start := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, len([]rune(before[start:])) + 1
}
