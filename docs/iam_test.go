package docs_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// documents are policies by the names in iam.md.
type documents map[string]awssim.Document

func iamPolicies(t *testing.T) documents {
	t.Helper()
	text := read(t, "iam.md")
	found := documents{}
	for _, block := range regexp.MustCompile("(?s)<!-- policy: ([a-z-]+) -->\n\n```json\n(.*?)\n```").FindAllStringSubmatch(text, -1) {
		found[block[1]] = awssim.Document(block[2])
	}
	if strings.Count(text, "```json") != len(found) {
		t.Errorf("%d of %d policies have names of their own", len(found), strings.Count(text, "```json"))
	}
	return found
}

const (
	kmsKey    = "arn:aws:kms:ap-south-1:123456789012:key/11111111-2222-3333-4444-555555555555"
	payDB     = "- {objectName: prod/payments/db, objectType: secretsmanager}\n"
	otherDB   = "- {objectName: prod/other/db, objectType: secretsmanager}\n"
	encrypted = "- {objectName: prod/payments/encrypted, objectType: secretsmanager}\n"
	payURL    = "- {objectName: /prod/payments/url, objectType: ssmparameter}\n"
	partner   = "arn:aws:iam::111122223333:role/partner-role"
	shared    = "arn:aws:iam::123456789012:role/shared-secrets"
)

func iamState() awssim.State {
	tags := func(account string) map[string]string {
		return map[string]string{"kubernetes-namespace": rig.Namespace, "kubernetes-service-account": account}
	}
	return awssim.State{
		Secrets: []awssim.Secret{
			{Region: rig.Region, Name: "prod/payments/db", Value: "correct", Tags: tags(rig.ServiceAccount)},
			{Region: "eu-west-1", Name: "prod/payments/db", Value: "correct"},
			{Region: "us-east-1", Name: "prod/payments/db", Value: "correct"},
			{Region: rig.Region, Name: "prod/payments/encrypted", Value: "correct", KMSKeyID: kmsKey},
			{Region: rig.Region, Name: "prod/other/db", Value: "correct", Tags: tags("other-sa")},
		},
		Parameters: []awssim.Parameter{
			{Region: rig.Region, Name: "/prod/payments/url", Value: "correct"},
			{Region: rig.Region, Name: "/prod/other/url", Value: "correct"},
		},
	}
}

// use is a way to use policies of iam.md: the roles, a mount that must work, and mounts that must not.
type use struct {
	policies []string // that the page has for it
	options  rig.Options
	roles    func(documents) []awssim.Role
	mount    rig.Mount
	refused  map[string]rig.Mount // by what is wrong with them
}

// one is the role of the rig with a trust and permission policies.
func one(trust string, permissions ...string) func(documents) []awssim.Role {
	return func(d documents) []awssim.Role {
		role := awssim.Role{Name: rig.RoleName, TrustPolicy: d[trust]}
		for _, name := range permissions {
			if d[name] != "" {
				role.Policies = append(role.Policies, d[name])
			}
		}
		return []awssim.Role{role}
	}
}

func mountOf(objects string, parameters ...string) rig.Mount {
	m := rig.Mount{Objects: objects, Parameters: map[string]string{"region": rig.Region}}
	for i := 0; i < len(parameters); i += 2 {
		m.Parameters[parameters[i]] = parameters[i+1]
	}
	return m
}

func iamUses() map[string]use {
	stranger := mountOf(payDB, "roleArn", rig.RoleARN)
	stranger.ServiceAccount = "other-sa"
	secondRole := []string{"roleArn", partner, "assumeRoleArn", shared, "externalId", "payments-7"}
	return map[string]use{
		"a role of a ServiceAccount": {
			policies: []string{"trust", "permissions"}, roles: one("trust", "permissions"), mount: mountOf(payDB + payURL),
			refused: map[string]rig.Mount{
				"another ServiceAccount": stranger, "another secret": mountOf(otherDB), "another region": mountOf(payDB, "region", "eu-west-1"),
				"another parameter": mountOf("- {objectName: /prod/other/url, objectType: ssmparameter}\n"),
			},
		},
		"failover": {
			policies: []string{"permissions-failover"}, roles: one("trust", "permissions-failover"), mount: mountOf(payDB, "failoverRegion", "eu-west-1"),
			refused: map[string]rig.Mount{"a third region": mountOf(payDB, "failoverRegion", "us-east-1")},
		},
		"batches": {
			policies: []string{"permissions-batch"}, options: rig.Options{BatchSecrets: true}, roles: one("trust", "permissions-batch", "permissions-kms"),
			mount: mountOf(payDB + encrypted), refused: map[string]rig.Mount{"another secret in the batch": mountOf(payDB + otherDB)},
		},
		"a KMS key": {
			policies: []string{"permissions-kms"}, roles: one("trust", "permissions-kms"), mount: mountOf(encrypted),
			refused: map[string]rig.Mount{"another secret": mountOf(payDB)},
		},
		"another account": {
			policies: []string{"cross-account-permissions", "cross-account-trust"},
			roles: func(d documents) []awssim.Role {
				first := awssim.Role{ARN: partner, TrustPolicy: awssim.Document(strings.ReplaceAll(string(d["trust"]), "123456789012", "111122223333"))}
				if d["cross-account-permissions"] != "" {
					first.Policies = []awssim.Document{d["cross-account-permissions"]}
				}
				return []awssim.Role{first, {ARN: shared, TrustPolicy: d["cross-account-trust"], Policies: []awssim.Document{d["permissions"]}}}
			},
			mount: mountOf(payDB, secondRole...),
			refused: map[string]rig.Mount{
				"no external id":      mountOf(payDB, secondRole[:4]...),
				"another external id": mountOf(payDB, append(secondRole[:5:5], "payments-8")...),
			},
		},
		"Pod Identity": {
			policies: []string{"pod-identity-trust"}, roles: one("pod-identity-trust", "permissions"), mount: mountOf(payDB, "usePodIdentity", "true"),
			refused: map[string]rig.Mount{"without Pod Identity": mountOf(payDB)},
		},
		"tags": {
			policies: []string{"permissions-tags"}, roles: one("pod-identity-trust", "permissions-tags"), mount: mountOf(payDB, "usePodIdentity", "true"),
			refused: map[string]rig.Mount{"the tags of another ServiceAccount": mountOf(otherDB, "usePodIdentity", "true"), "no tags": mountOf(encrypted, "usePodIdentity", "true")},
		},
	}
}

// try mounts in a new world with these documents.
func (u use) try(t *testing.T, d documents, m rig.Mount) error {
	t.Helper()
	options := u.options
	options.State, options.TLS = iamState(), true
	options.AWS.MaxAttempts = 1
	r := rig.New(t, options)
	issuer := strings.TrimSuffix(r.Issuer.ConditionKey("sub"), ":sub")
	mine := maps.Clone(d)
	for name, document := range mine {
		mine[name] = awssim.Document(strings.ReplaceAll(string(document), "oidc.eks.ap-south-1.amazonaws.com/id/EXAMPLE", issuer))
	}
	if err := r.AWS.AddOIDCProvider(awssim.OIDCProvider{Issuer: r.Issuer.URL(), Account: "111122223333"}); err != nil {
		t.Fatal(err)
	}
	for _, role := range u.roles(mine) {
		if err := r.AWS.SetRole(role); err != nil {
			t.Fatal(err)
		}
	}
	if m.Parameters["usePodIdentity"] != "" {
		if err := r.AWS.AddPodIdentityAssociation(awssim.PodIdentityAssociation{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, RoleARN: rig.RoleARN, ClusterName: "prod"}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := r.Client.Mount(t.Context(), r.Request(m))
	return err
}

// Every policy of iam.md is enough for its use, and no more: the mounts that it must not allow are refused.
func TestIAM_PoliciesAreSufficient(t *testing.T) {
	d := iamPolicies(t)
	used := []string{"service-control"} // in a test of its own
	for name, u := range iamUses() {
		used = append(used, u.policies...)
		t.Run(name, func(t *testing.T) {
			if err := u.try(t, d, u.mount); err != nil {
				t.Errorf("the mount fails: %v", err)
			}
			for what, m := range u.refused {
				if u.try(t, d, m) == nil {
					t.Errorf("the mount with %s succeeds", what)
				}
			}
		})
	}
	slices.Sort(used)
	if names := slices.Sorted(maps.Keys(d)); !slices.Equal(names, used) {
		t.Errorf("the page has the policies %q, and the tests use %q", names, used)
	}
}

// Every statement and every action of a policy of iam.md is necessary.
func TestIAM_EveryPartIsNecessary(t *testing.T) {
	d := iamPolicies(t)
	for name, u := range iamUses() {
		for _, policy := range u.policies {
			for part, changed := range without(t, d[policy]) {
				t.Run(name+"/"+policy+"/"+part, func(t *testing.T) {
					less := maps.Clone(d)
					less[policy] = changed
					if err := u.try(t, less, u.mount); err == nil {
						t.Error("the mount succeeds without it")
					}
				})
			}
		}
	}
}

// Every condition of a trust or permission policy of iam.md keeps somebody out.
func TestIAM_EveryConditionIsNecessary(t *testing.T) {
	d := iamPolicies(t)
	uses := iamUses()
	for policy, tc := range map[string]struct{ use, refused string }{
		"trust":               {"a role of a ServiceAccount", "another ServiceAccount"},
		"cross-account-trust": {"another account", "no external id"},
		"permissions-tags":    {"tags", "no tags"},
	} {
		t.Run(policy, func(t *testing.T) {
			more := maps.Clone(d)
			more[policy] = edited(t, d[policy], func(s map[string]any) { delete(s, "Condition") })
			u := uses[tc.use]
			m := u.refused[tc.refused]
			if policy == "permissions-tags" {
				m = mountOf(otherDB, "usePodIdentity", "true")
			}
			if err := u.try(t, more, m); err != nil {
				t.Errorf("the mount with %s fails also without the condition, so the condition is not tested: %v", tc.refused, err)
			}
		})
	}
}

// The simulator has no organisations. A Deny of a service control policy decides as a Deny of the role's own policy does.
func TestIAM_ServiceControlPolicy(t *testing.T) {
	d := iamPolicies(t)
	const everything = "everything"
	d[everything] = awssim.AllowPolicy("*", "secretsmanager:GetSecretValue", "ssm:GetParameters")
	u := use{roles: one("trust", everything, "service-control")}
	for name, m := range map[string]rig.Mount{"first region": mountOf(payDB + payURL), "second region": mountOf(payDB, "region", "eu-west-1"), "failover": mountOf(payDB, "failoverRegion", "eu-west-1")} {
		if err := u.try(t, d, m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	away := mountOf(payDB, "region", "us-east-1")
	if err := u.try(t, d, away); err == nil || !strings.Contains(err.Error(), "explicit deny") {
		t.Errorf("a third region: %v, want an explicit deny", err)
	}
	d["service-control"] = ""
	if err := u.try(t, d, away); err != nil {
		t.Errorf("a third region fails also without the policy: %v", err)
	}
}

// without returns the policy without each statement, and without each of several actions of a statement. A policy
// without statements is empty.
func without(t *testing.T, document awssim.Document) map[string]awssim.Document {
	t.Helper()
	changed := map[string]awssim.Document{}
	statements := parsePolicy(t, document)
	for i := range statements {
		rest := slices.Delete(slices.Clone(statements), i, i+1)
		changed["statement "+string(rune('1'+i))] = formatPolicy(t, rest)
		if actions, several := statements[i]["Action"].([]any); several {
			for j, action := range actions {
				statement := maps.Clone(statements[i])
				statement["Action"] = slices.Delete(slices.Clone(actions), j, j+1)
				all := slices.Clone(statements)
				all[i] = statement
				changed["action "+action.(string)] = formatPolicy(t, all)
			}
		}
	}
	return changed
}

// edited returns the policy with its first statement changed.
func edited(t *testing.T, document awssim.Document, edit func(map[string]any)) awssim.Document {
	t.Helper()
	statements := parsePolicy(t, document)
	edit(statements[0])
	return formatPolicy(t, statements)
}

func parsePolicy(t *testing.T, document awssim.Document) []map[string]any {
	t.Helper()
	var policy struct {
		Version   string
		Statement []map[string]any
	}
	if err := json.Unmarshal([]byte(document), &policy); err != nil || policy.Version != "2012-10-17" || len(policy.Statement) == 0 {
		t.Fatalf("%v: not a policy: %s", err, document)
	}
	return policy.Statement
}

func formatPolicy(t *testing.T, statements []map[string]any) awssim.Document {
	t.Helper()
	if len(statements) == 0 {
		return ""
	}
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	return awssim.Document(text)
}
