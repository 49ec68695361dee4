package check

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/provider/class"
)

// Role is an IAM role that pods need, with its minimal policies.
type Role struct {
	ARN             string   `json:"arn,omitempty"`   // empty if no manifest names it
	Mode            Mode     `json:"mode"`            // how pods get it
	ServiceAccounts []string `json:"serviceAccounts"` // namespace/name, of the pods with this role
	Classes         []string `json:"classes"`         // namespace/name
	// PermissionPolicy allows reading the objects, or assuming the role that reads them.
	PermissionPolicy Policy `json:"permissionPolicy"`
	TrustPolicy      Policy `json:"trustPolicy"`
	// Placeholders are the placeholders in the policies for unknown values: REGION, ACCOUNT, ...
	Placeholders []string `json:"placeholders"`
}

// Mode says how a pod gets a role.
type Mode string

// The modes.
const (
	WebIdentity Mode = "webIdentity" // with the token of its ServiceAccount (IRSA)
	PodIdentity Mode = "podIdentity" // from the Pod Identity association of its ServiceAccount
	Assumed     Mode = "assumed"     // from another role, with assumeRoleArn
)

// Policy is an IAM policy document.
type Policy struct {
	Version   string      `json:"Version"`
	Statement []Statement `json:"Statement"`
}

// Statement is one statement of a policy. A trust policy has Principal, a permission policy has Resource.
type Statement struct {
	Effect    string                          `json:"Effect"`
	Principal *Principal                      `json:"Principal,omitempty"`
	Action    oneOrMore                       `json:"Action"`
	Resource  []string                        `json:"Resource,omitempty"`
	Condition map[string]map[string]oneOrMore `json:"Condition,omitempty"`
}

// Principal is the trusted principal. Exactly one field is set.
type Principal struct {
	Federated string    `json:"Federated,omitempty"`
	Service   string    `json:"Service,omitempty"`
	AWS       oneOrMore `json:"AWS,omitempty"`
}

// oneOrMore is a list of strings. Like IAM, it marshals a single element as a string.
type oneOrMore []string

// MarshalJSON marshals one element as a string and any other number as a list.
func (o oneOrMore) MarshalJSON() ([]byte, error) {
	if len(o) == 1 {
		return json.Marshal(o[0])
	}
	return json.Marshal([]string(o))
}

// String is the policy document as indented JSON.
func (p Policy) String() string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(p) // strings, into memory
	return strings.TrimSuffix(b.String(), "\n")
}

// Placeholders in policies.
const (
	unknownRegion         = "REGION"
	unknownAccount        = "ACCOUNT"
	unknownRole           = "ROLE"
	unknownIssuer         = "OIDC_ISSUER"
	unknownNamespace      = "NAMESPACE"
	unknownServiceAccount = "SERVICE_ACCOUNT"
)

// role collects the needs of one role.
type role struct {
	arn                string // empty if unknown
	partition, account string // account may be empty
	mode               Mode
	pods               unique[subject]
	classes            unique[string]
	secrets            unique[string] // resources
	parameters         unique[string]
	selected           selected
	steps              unique[step] // roles that this role assumes
	trusts             unique[trust]
	placeholders       unique[string]
}

type subject struct{ namespace, account string }

// step is a role to assume from another one. tags reports whether the session has the tags of EKS Pod Identity, which
// are transitive (EKS User Guide, "Grant Pods access to AWS resources based on tags").
type step struct {
	to   string
	tags bool
}

// trust is a role that another role trusts.
type trust struct {
	of, externalID string
	tags           bool
}

// use is a class that pods mount.
type use struct {
	class class.Class
	ref   string
	by    subject
	arn   string // of the role annotation; empty for none
}

// roles lists the roles of all valid classes, with their policies.
func (ck *checker) roles() []Role {
	known := map[string]*role{}
	var order []*role
	named := func(key, roleARN string, mode Mode, region string) *role {
		if r := known[key]; r != nil {
			return r
		}
		r := &role{arn: roleARN, mode: mode, partition: partitionOf(region), account: ck.options.Account}
		if parsed, err := arn.Parse(roleARN); err == nil {
			r.partition, r.account = parsed.Partition, parsed.AccountID
		}
		known[key] = r
		order = append(order, r)
		return r
	}
	for _, u := range ck.uses() {
		mode, roleARN := WebIdentity, u.class.RoleARN
		switch {
		case u.class.PodIdentity:
			mode, roleARN = PodIdentity, ""
		case roleARN == "":
			roleARN = u.arn
		}
		key := string(mode) + " " + roleARN
		if roleARN == "" {
			key += u.by.namespace + "/" + u.by.account
			if u.by.account == "" {
				key += u.ref
			}
		}
		r := named(key, roleARN, mode, u.class.Region)
		r.serve(u)
		if u.class.AssumeRoleARN != "" {
			r = r.stepTo(named("assumed "+u.class.AssumeRoleARN, u.class.AssumeRoleARN, Assumed, u.class.Region), u.class.ExternalID)
			r.serve(u)
		}
		r.read(u.class)
	}
	list := []Role{}
	for _, r := range order {
		list = append(list, r.role(ck.options))
	}
	return list
}

// unique is a list without repetition.
type unique[T comparable] struct {
	list []T
	has  map[T]bool
}

func (u *unique[T]) add(v T) {
	if u.has == nil {
		u.has = map[T]bool{}
	}
	if !u.has[v] {
		u.has[v] = true
		u.list = append(u.list, v)
	}
}

// uses lists which pods mount which classes. For a class that no workload mounts it assumes the ServiceAccount of its
// namespace, if exactly one fits.
func (ck *checker) uses() []use {
	var list []use
	mounted := map[*providerClass]bool{}
	for _, w := range ck.workloads {
		for _, v := range w.volumes {
			if v.class != nil {
				mounted[v.class] = true
			}
			if !v.valid || len(list) >= maxUses {
				continue
			}
			list = append(list, use{v.parsed, v.class.ref(), subject{cmp.Or(w.namespace, v.class.namespace), w.account}, w.accountFound.roleARN()})
		}
	}
	candidates := map[string][]*account{}
	for _, a := range ck.accounts {
		candidates[a.namespace] = append(candidates[a.namespace], a)
	}
	for _, c := range ck.classes {
		if !c.valid || mounted[c] || len(list) >= maxUses {
			continue
		}
		u := use{class: c.parsed, ref: c.ref(), by: subject{namespace: c.namespace}}
		annotated := !c.parsed.PodIdentity && c.parsed.RoleARN == ""
		var of []*account
		for _, a := range candidates[c.namespace] {
			if !annotated || a.roleARN() != "" {
				of = append(of, a)
			}
		}
		if len(of) == 1 {
			u.by.account, u.arn = of[0].name, of[0].roleARN()
		}
		list = append(list, u)
	}
	return list
}

// maxUses limits the uses that the policies cover.
const maxUses = 5000

// roleARN is the role in the annotation, empty if there is none or if it is not an ARN.
func (a *account) roleARN() string {
	if a == nil || !awsclient.ValidRoleARN(text(a.role.value)) {
		return ""
	}
	return text(a.role.value)
}

func (r *role) serve(u use) {
	r.pods.add(u.by)
	r.classes.add(u.ref)
}

// stepTo lets r assume another role and returns that role. Only a role in another account needs a permission for that.
// In the same account, a trust policy that names r is enough (IAM User Guide, "Policy evaluation for requests within a
// single account").
func (r *role) stepTo(to *role, externalID string) *role {
	tags := r.mode == PodIdentity
	if r.account == "" || r.account != to.account {
		r.steps.add(step{to.arn, tags})
	}
	to.trusts.add(trust{r.name(to), externalID, tags})
	return to
}

// name is r's ARN, or one with placeholders, for a policy of another role.
func (r *role) name(in *role) string {
	if r.arn != "" {
		return r.arn
	}
	return "arn:" + r.partition + ":iam::" + in.or(r.account, unknownAccount) + ":role/" + in.or("", unknownRole)
}

// or returns the value, or its placeholder if the value is empty.
func (r *role) or(value, placeholder string) string {
	if value != "" {
		return value
	}
	r.placeholders.add(placeholder)
	return placeholder
}

const policyVersion = "2012-10-17"

func (r *role) role(o Options) Role {
	permission := Policy{Version: policyVersion, Statement: []Statement{}}
	allow := func(actions []string, resources []string) {
		if len(resources) > 0 {
			permission.Statement = append(permission.Statement, Statement{Effect: "Allow", Action: actions, Resource: resources})
		}
	}
	allow([]string{class.SecretsManager.Action()}, r.selected.withSecrets(withoutCovered(r.secrets.list)))
	permission.Statement = append(permission.Statement, r.selected.tagged()...)
	allow([]string{class.SSMParameter.Action()}, r.parameters.list)
	allow([]string{"ssm:GetParametersByPath"}, r.selected.paths.list)
	for _, tags := range []bool{false, true} {
		var to []string
		for _, s := range r.steps.list {
			if s.tags == tags {
				to = append(to, s.to)
			}
		}
		allow(stepActions(tags), to)
	}
	trusted := r.trustPolicy(o)
	out := Role{ARN: r.arn, Mode: r.mode, ServiceAccounts: []string{}, Classes: r.classes.list, PermissionPolicy: permission, TrustPolicy: trusted, Placeholders: append([]string{}, r.placeholders.list...)}
	for _, p := range r.pods.list {
		if p.account != "" {
			out.ServiceAccounts = append(out.ServiceAccounts, qualified(p.namespace, p.account))
		}
	}
	return out
}

func stepActions(tags bool) []string {
	if tags {
		return []string{"sts:AssumeRole", "sts:TagSession"}
	}
	return []string{"sts:AssumeRole"}
}

func (r *role) trustPolicy(o Options) Policy {
	policy := Policy{Version: policyVersion, Statement: []Statement{}}
	switch r.mode {
	case PodIdentity:
		policy.Statement = append(policy.Statement, Statement{Effect: "Allow", Principal: &Principal{Service: auth.AudienceEKS}, Action: stepActions(true)})
	case Assumed:
		policy.Statement = r.trustOfRoles()
	case WebIdentity:
		issuer := r.or(o.issuer(), unknownIssuer)
		var subjects []string
		for _, p := range r.pods.list {
			subjects = append(subjects, "system:serviceaccount:"+r.or(p.namespace, unknownNamespace)+":"+r.or(p.account, unknownServiceAccount))
		}
		policy.Statement = append(policy.Statement, Statement{
			Effect:    "Allow",
			Principal: &Principal{Federated: "arn:" + r.partition + ":iam::" + r.or(r.account, unknownAccount) + ":oidc-provider/" + issuer},
			Action:    oneOrMore{"sts:AssumeRoleWithWebIdentity"},
			Condition: map[string]map[string]oneOrMore{"StringEquals": {issuer + ":aud": {auth.AudienceSTS}, issuer + ":sub": subjects}},
		})
	}
	return policy
}

// trustOfRoles makes one statement for each external id, and separate ones for sessions with tags.
func (r *role) trustOfRoles() []Statement {
	var list []Statement
	at := map[trust]int{} // trust without its role → index of its statement
	for _, t := range r.trusts.list {
		of := t.of
		t.of = ""
		i, known := at[t]
		if !known {
			i = len(list)
			at[t] = i
			statement := Statement{Effect: "Allow", Principal: &Principal{}, Action: stepActions(t.tags)}
			if t.externalID != "" {
				statement.Condition = map[string]map[string]oneOrMore{"StringEquals": {"sts:ExternalId": {t.externalID}}}
			}
			list = append(list, statement)
		}
		list[i].Principal.AWS = append(list[i].Principal.AWS, of)
	}
	return list
}

// partitions maps prefixes of regions to partitions. Other regions belong to aws.
var partitions = []struct{ prefix, name string }{
	{"cn-", "aws-cn"}, {"us-gov-", "aws-us-gov"}, {"us-iso-", "aws-iso"}, {"us-isob-", "aws-iso-b"},
	{"us-isof-", "aws-iso-f"}, {"eu-isoe-", "aws-iso-e"}, {"eusc-", "aws-eusc"},
}

func partitionOf(region string) string {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.prefix) {
			return p.name
		}
	}
	return "aws"
}
