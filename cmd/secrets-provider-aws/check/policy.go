package check

import (
	"bytes"
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/provider/class"
)

// Role is an IAM role that pods need, with the least that it takes.
type Role struct {
	ARN             string   `json:"arn,omitempty"`   // empty where nothing names it
	Mode            Mode     `json:"mode"`            // how it is come by
	ServiceAccounts []string `json:"serviceAccounts"` // namespace/name, of the pods that have it
	Classes         []string `json:"classes"`         // namespace/name
	// PermissionPolicy allows what is read, or the step to the role that reads.
	PermissionPolicy Policy `json:"permissionPolicy"`
	TrustPolicy      Policy `json:"trustPolicy"`
	// Placeholders stand in the policies for what is not known: REGION, ACCOUNT, ...
	Placeholders []string `json:"placeholders"`
}

// Mode says how a pod comes by a role.
type Mode string

// The modes.
const (
	WebIdentity Mode = "webIdentity" // by the token of its ServiceAccount (IRSA)
	PodIdentity Mode = "podIdentity" // by the association of its ServiceAccount
	Assumed     Mode = "assumed"     // from another role, by assumeRoleArn
)

// Policy is an IAM policy document.
type Policy struct {
	Version   string      `json:"Version"`
	Statement []Statement `json:"Statement"`
}

// Statement is one of a policy. A trust policy has Principal, a permission policy Resource.
type Statement struct {
	Effect    string                          `json:"Effect"`
	Principal *Principal                      `json:"Principal,omitempty"`
	Action    oneOrMore                       `json:"Action"`
	Resource  []string                        `json:"Resource,omitempty"`
	Condition map[string]map[string]oneOrMore `json:"Condition,omitempty"`
}

// Principal is who is trusted: one of its fields is set.
type Principal struct {
	Federated string    `json:"Federated,omitempty"`
	Service   string    `json:"Service,omitempty"`
	AWS       oneOrMore `json:"AWS,omitempty"`
}

// oneOrMore is a text where it is one, as IAM shows it.
type oneOrMore []string

// MarshalJSON makes a text or a list.
func (o oneOrMore) MarshalJSON() ([]byte, error) {
	if len(o) == 1 {
		return json.Marshal(o[0])
	}
	return json.Marshal([]string(o))
}

// String is the document to paste.
func (p Policy) String() string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(p) // of texts, into memory
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

// role gathers what one role needs.
type role struct {
	arn                string // empty where it is not known
	partition, account string // account may be empty
	mode               Mode
	pods               unique[subject]
	classes            unique[string]
	secrets            unique[string] // resources
	parameters         unique[string]
	steps              unique[step] // to other roles
	trusts             unique[trust]
	placeholders       unique[string]
}

type subject struct{ namespace, account string }

// step is a role to go on to; tags are those of EKS Pod Identity, which go along (EKS User Guide, "Grant Pods access
// to AWS resources based on tags": they are transitive).
type step struct {
	to   string
	tags bool
}

// trust is of another role, whose ARN may not be known.
type trust struct {
	of, externalID string
	tags           bool
}

// use is a class that pods mount.
type use struct {
	class class.Class
	ref   string
	by    subject
	arn   string // of the annotation; empty for none
}

// roles lists the roles of all classes that can be mounted, each with what it takes.
func (j *judge) roles() []Role {
	known := map[string]*role{}
	var order []*role
	named := func(key, roleARN string, mode Mode, region string) *role {
		if r := known[key]; r != nil {
			return r
		}
		r := &role{arn: roleARN, mode: mode, partition: partitionOf(region), account: j.options.Account}
		if parsed, err := arn.Parse(roleARN); err == nil {
			r.partition, r.account = parsed.Partition, parsed.AccountID
		}
		known[key] = r
		order = append(order, r)
		return r
	}
	for _, u := range j.uses() {
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
		list = append(list, r.role(j.options))
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

// uses lists who mounts what. A class that no workload mounts is taken for the one ServiceAccount of its namespace
// that it can be for, if there is one alone.
func (j *judge) uses() []use {
	var list []use
	mounted := map[*providerClass]bool{}
	for _, w := range j.workloads {
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
	for _, a := range j.accounts {
		candidates[a.namespace] = append(candidates[a.namespace], a)
	}
	for _, c := range j.classes {
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

// maxUses bounds what policies are made of.
const maxUses = 5000

// roleARN is the annotated role, empty where there is none that can be one.
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

// stepTo lets r go on to another role. The step takes a permission only into another account: in its own, a trust
// policy that names the role is enough (IAM User Guide, "Policy evaluation for requests within a single account").
func (r *role) stepTo(to *role, externalID string) *role {
	tags := r.mode == PodIdentity
	if r.account == "" || r.account != to.account {
		r.steps.add(step{to.arn, tags})
	}
	to.trusts.add(trust{r.name(to), externalID, tags})
	return to
}

// name is r's ARN, for a policy of another role.
func (r *role) name(in *role) string {
	if r.arn != "" {
		return r.arn
	}
	return "arn:" + r.partition + ":iam::" + in.or(r.account, unknownAccount) + ":role/" + in.or("", unknownRole)
}

// or is the value, or its placeholder.
func (r *role) or(value, placeholder string) string {
	if value != "" {
		return value
	}
	r.placeholders.add(placeholder)
	return placeholder
}

// read adds what a class reads, in both of its regions.
func (r *role) read(c class.Class) {
	for _, o := range c.Objects {
		r.readIn(c.Region, o.Type, o.Name)
	}
	if c.FailoverRegion == "" {
		return
	}
	for _, o := range c.Objects {
		name := o.Name
		if o.Failover != nil {
			name = o.Failover.Name
		}
		r.readIn(c.FailoverRegion, o.Type, name)
	}
}

// completeRE is how the ARN of a secret ends; Secrets Manager takes every such ARN for complete.
var completeRE = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// suffix stands for the six characters that Secrets Manager appends to a secret's name.
const suffix = "-??????"

func (r *role) readIn(region string, kind class.Type, name string) {
	whole := strings.HasPrefix(name, "arn:")
	prefix := ""
	if !whole {
		service := map[class.Type]string{class.SecretsManager: "secretsmanager", class.SSMParameter: "ssm"}[kind]
		prefix = "arn:" + r.partition + ":" + service + ":" + r.or(region, unknownRegion) + ":" + r.or(r.account, unknownAccount) + ":"
	}
	resource := literal(name)
	switch {
	case kind == class.SSMParameter && !whole:
		resource = prefix + "parameter/" + strings.TrimPrefix(resource, "/")
	case kind == class.SSMParameter:
	case !whole:
		resource = prefix + "secret:" + resource + suffix
	case !completeRE.MatchString(name):
		resource += suffix
	}
	if kind == class.SSMParameter {
		r.parameters.add(resource)
	} else {
		r.secrets.add(resource)
	}
}

// literal keeps IAM from taking a character of a name for a wildcard or a variable.
func literal(name string) string {
	return strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(name)
}

// withoutCovered leaves out complete ARNs that a name's pattern covers.
func withoutCovered(resources []string) []string {
	patterns := map[string]bool{}
	for _, r := range resources {
		if strings.HasSuffix(r, suffix) {
			patterns[r] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(resources), func(r string) bool {
		return completeRE.MatchString(r) && patterns[r[:len(r)-len(suffix)]+suffix]
	})
}

const policyVersion = "2012-10-17"

func (r *role) role(o Options) Role {
	permission := Policy{Version: policyVersion, Statement: []Statement{}}
	allow := func(actions []string, resources []string) {
		if len(resources) > 0 {
			permission.Statement = append(permission.Statement, Statement{Effect: "Allow", Action: actions, Resource: resources})
		}
	}
	allow([]string{class.SecretsManager.Action()}, withoutCovered(r.secrets.list))
	allow([]string{class.SSMParameter.Action()}, r.parameters.list)
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

// trustOfRoles has a statement for each external id, apart for roles whose sessions bring tags.
func (r *role) trustOfRoles() []Statement {
	var list []Statement
	at := map[trust]int{} // without the role → its statement
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

// partitions are those of regions by how these begin; every other region is of aws.
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
