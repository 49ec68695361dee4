package check_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/cmd/secrets-provider-aws/check"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

const (
	account  = "123456789012"
	abroad   = "eu-west-1"
	otherARN = "arn:aws:iam::210987654321:role/cluster/app" // not in the account of the secrets
	vaultARN = "arn:aws:iam::" + account + ":role/vault"
)

// worldOfPolicies is the state of AWS. A policy that allows too much could also read the objects with similar names.
func worldOfPolicies() awssim.State {
	var s awssim.State
	for _, region := range []string{rig.Region, abroad} {
		for _, name := range []string{"prod/db", "prod/db-replica", "prod/copy"} {
			secret := awssim.Secret{Region: region, Name: name, Suffix: "AbCdEf", Value: name + " in " + region}
			if name == "prod/copy" {
				secret.Tags = map[string]string{"team": "payments"}
			}
			s.Secrets = append(s.Secrets, secret)
		}
		s.Parameters = append(s.Parameters, awssim.Parameter{Region: region, Name: "/prod/url", Versions: []string{"old", "url in " + region}},
			awssim.Parameter{Region: region, Name: "plain", Value: "plain"})
	}
	return s
}

type policyCase struct {
	objects    string
	parameters map[string]string
	role       string            // in the annotation; if empty, the rig's
	statements int               // in all permission policies
	files      map[string]string // path → content
}

func policyCases() map[string]policyCase {
	secretARN := func(region, name string) string {
		return "arn:aws:secretsmanager:" + region + ":" + account + ":secret:" + name
	}
	db := map[string]string{"prod_db": "prod/db in " + rig.Region}
	failover := map[string]string{"failoverRegion": abroad}
	one := "- {objectName: prod/db, objectType: secretsmanager}"
	return map[string]policyCase{
		"a secret by name":         {objects: one, statements: 1, files: db},
		"a secret by ARN":          {objects: "- {objectName: \"" + secretARN(rig.Region, "prod/db-AbCdEf") + "\", objectAlias: prod_db}", statements: 1, files: db},
		"a secret by partial ARN":  {objects: "- {objectName: \"" + secretARN(rig.Region, "prod/db") + "\", objectAlias: prod_db}", statements: 1, files: db},
		"one secret by two names":  {objects: one + "\n- {objectName: \"" + secretARN(rig.Region, "prod/db-AbCdEf") + "\", objectAlias: again}", statements: 1, files: map[string]string{"prod_db": db["prod_db"], "again": db["prod_db"]}},
		"a parameter with a path":  {objects: "- {objectName: /prod/url, objectType: ssmparameter}", statements: 1, files: map[string]string{"_prod_url": "url in " + rig.Region}},
		"a parameter's version":    {objects: "- {objectName: /prod/url, objectType: ssmparameter, objectVersion: 1}", statements: 1, files: map[string]string{"_prod_url": "old"}},
		"a parameter without path": {objects: "- {objectName: plain, objectType: ssmparameter}", statements: 1, files: map[string]string{"plain": "plain"}},
		"a parameter by ARN":       {objects: "- {objectName: \"arn:aws:ssm:" + rig.Region + ":" + account + ":parameter/prod/url\", objectAlias: url}", statements: 1, files: map[string]string{"url": "url in " + rig.Region}},
		"both services": {
			objects: one + "\n- {objectName: prod/copy, objectType: secretsmanager}\n- {objectName: /prod/url, objectType: ssmparameter}\n- {objectName: plain, objectType: ssmparameter}", statements: 2,
			files: map[string]string{"prod_db": db["prod_db"], "prod_copy": "prod/copy in " + rig.Region, "_prod_url": "url in " + rig.Region, "plain": "plain"},
		},
		"failoverRegion": {objects: one + "\n- {objectName: plain, objectType: ssmparameter}", parameters: failover, statements: 2, files: map[string]string{"prod_db": db["prod_db"], "plain": "plain"}},
		"failoverObject": {
			objects: "- {objectName: \"" + secretARN(rig.Region, "prod/db-AbCdEf") + "\", objectAlias: prod_db, failoverObject: {objectName: \"" + secretARN(abroad, "prod/copy-AbCdEf") + "\"}}", parameters: failover, statements: 1, files: db,
		},
		"another account": {
			objects: one, role: otherARN, parameters: map[string]string{"assumeRoleArn": vaultARN, "externalId": "shop-7"}, statements: 2, files: db,
		},
		"another role of the account": {objects: one, parameters: map[string]string{"assumeRoleArn": vaultARN}, statements: 1, files: db},
		"Pod Identity":                {objects: one, parameters: map[string]string{"usePodIdentity": "true"}, statements: 1, files: db},
		"the parameters of a path": {
			objects: "- {objectName: /prod/*, objectType: ssmparameter}", statements: 1, files: map[string]string{"url": "url in " + rig.Region},
		},
		"secrets by the beginning of their names": {
			objects: "- {objectName: prod/db*, objectType: secretsmanager, objectAlias: \"db*\"}", statements: 2,
			files: map[string]string{"db": "prod/db in " + rig.Region, "db-replica": "prod/db-replica in " + rig.Region},
		},
		"secrets by a tag": {
			objects: "- {objectName: prod/*, objectType: secretsmanager, tags: {team: payments}}", statements: 2, files: map[string]string{"copy": "prod/copy in " + rig.Region},
		},
		"an object of another region": {
			objects: one + "\n- {objectName: prod/copy, objectType: secretsmanager, region: " + abroad + "}", statements: 1,
			files: map[string]string{"prod_db": db["prod_db"], "prod_copy": "prod/copy in " + abroad},
		},
		"Pod Identity, another role": {
			objects: one, parameters: map[string]string{"usePodIdentity": "true", "assumeRoleArn": vaultARN, "externalId": "shop-7"}, statements: 1, files: db,
		},
	}
}

// The policies are sufficient for the mount, and each of their statements, actions and resources is necessary. The
// strict simulator decides.
func TestPolicies(t *testing.T) {
	for name, tc := range policyCases() {
		t.Run(name, func(t *testing.T) {
			r := rig.New(t, rig.Options{State: worldOfPolicies(), AWS: awsclient.Options{MaxAttempts: 1}})
			if tc.role != "" {
				provider := awssim.OIDCProvider{Account: "210987654321", Issuer: r.Issuer.URL(), ClientIDs: []string{"sts.amazonaws.com"}}
				if err := r.AWS.AddOIDCProvider(provider); err != nil {
					t.Fatal(err)
				}
				r.Kube.SetServiceAccount(rig.Namespace, rig.ServiceAccount, map[string]string{rig.RoleAnnotation: tc.role})
			}
			if err := r.AWS.AddPodIdentityAssociation(awssim.PodIdentityAssociation{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, RoleARN: "arn:aws:iam::" + account + ":role/ROLE"}); err != nil {
				t.Fatal(err)
			}
			if err := r.AWS.RemoveRole(rig.RoleARN); err != nil {
				t.Fatal(err)
			}
			parameters := map[string]string{"region": rig.Region, "objects": tc.objects}
			maps.Copy(parameters, tc.parameters)
			report := reportOn(t, check.Options{Account: account, OIDCIssuer: strings.TrimSuffix(r.Issuer.ConditionKey("sub"), ":sub")}, manifestsFor(parameters, tc.role))
			if len(report.Findings) > 0 {
				t.Fatalf("findings %q", printed(report))
			}
			mount := func() (map[string]string, error) {
				response, err := r.Mount(rig.Mount{Class: "db", Parameters: parameters})
				if err != nil {
					return nil, err
				}
				files := map[string]string{}
				for _, f := range response.GetFiles() {
					files[f.GetPath()] = string(f.GetContents())
				}
				return files, nil
			}
			for _, role := range report.Roles {
				setRole(t, r, role)
			}
			files, err := mount()
			if err != nil {
				t.Fatalf("the policies are not sufficient: %v", err)
			}
			if diff := cmp.Diff(tc.files, files); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			statements := 0
			for _, role := range report.Roles {
				statements += len(role.PermissionPolicy.Statement)
				for what, less := range lessOf(t, role) {
					setRole(t, r, less)
					if _, err := mount(); err == nil {
						t.Errorf("%s: mounted without %s, which is therefore not necessary", role.Mode, what)
					}
				}
				setRole(t, r, role)
			}
			if statements != tc.statements {
				t.Errorf("%d statements, want %d", statements, tc.statements)
			}
			if _, err := mount(); err != nil {
				t.Errorf("the complete policies are not sufficient any more: %v", err)
			}
		})
	}
}

// The pattern of a secret's name matches its six-character suffix and no other secret.
func TestPolicyCoversNoNeighbour(t *testing.T) {
	r := rig.New(t, rig.Options{State: worldOfPolicies(), AWS: awsclient.Options{MaxAttempts: 1}})
	parameters := map[string]string{"region": rig.Region, "objects": "- {objectName: prod/db, objectType: secretsmanager}"}
	report := reportOn(t, check.Options{OIDCIssuer: strings.TrimSuffix(r.Issuer.ConditionKey("sub"), ":sub")}, manifestsFor(parameters, ""))
	setRole(t, r, report.Roles[0])
	if _, err := r.Mount(rig.Mount{Parameters: parameters}); err != nil {
		t.Fatal(err)
	}
	parameters["objects"] = "- {objectName: prod/db-replica, objectType: secretsmanager}"
	if _, err := r.Mount(rig.Mount{Parameters: parameters}); err == nil {
		t.Error("the policy for prod/db reads prod/db-replica")
	}
}

// manifestsFor is a class with these parameters, its ServiceAccount and its pod.
func manifestsFor(parameters map[string]string, role string) string {
	lines := []string{"parameters:"}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		text, err := json.Marshal(parameters[name])
		if err != nil {
			panic(err)
		}
		lines = append(lines, fmt.Sprintf("  %s: %s", name, text))
	}
	text := withSpec(lines...) + rightAccount + aPod(rightVolume...)
	if role != "" {
		text = strings.ReplaceAll(text, rig.RoleARN, role)
	}
	return text
}

// setRole creates the role with its policies. A role without an ARN is named ROLE.
func setRole(t *testing.T, r *rig.Rig, role check.Role) {
	t.Helper()
	arn := role.ARN
	if arn == "" {
		arn = "arn:aws:iam::" + account + ":role/ROLE"
	}
	made := awssim.Role{ARN: arn}
	if len(role.TrustPolicy.Statement) > 0 {
		made.TrustPolicy = awssim.Document(role.TrustPolicy.String())
	}
	if len(role.PermissionPolicy.Statement) > 0 {
		made.Policies = []awssim.Document{awssim.Document(role.PermissionPolicy.String())}
	}
	if err := r.AWS.SetRole(made); err != nil {
		t.Fatal(err)
	}
}

// lessOf lists copies of the role with one part removed, by the name of that part.
func lessOf(t *testing.T, role check.Role) map[string]check.Role {
	t.Helper()
	list := map[string]check.Role{}
	vary := func(what string, part func(*check.Role) *check.Policy) {
		for i, s := range part(&role).Statement {
			without := func(name string, change func(*check.Statement)) {
				less := role
				p := part(&less)
				p.Statement = slices.Clone(p.Statement)
				change(&p.Statement[i])
				list[what+" "+name] = less
			}
			less := role
			part(&less).Statement = slices.Delete(slices.Clone(part(&role).Statement), i, i+1)
			list[fmt.Sprintf("%s statement %d", what, i+1)] = less
			if len(s.Action) > 1 {
				for k, action := range s.Action {
					without(action, func(s *check.Statement) { s.Action = slices.Delete(slices.Clone(s.Action), k, k+1) })
				}
			}
			if len(s.Resource) > 1 {
				for k, resource := range s.Resource {
					without(resource, func(s *check.Statement) { s.Resource = slices.Delete(slices.Clone(s.Resource), k, k+1) })
				}
			}
		}
	}
	vary("permission", func(r *check.Role) *check.Policy { return &r.PermissionPolicy })
	vary("trust", func(r *check.Role) *check.Policy { return &r.TrustPolicy })
	return list
}
