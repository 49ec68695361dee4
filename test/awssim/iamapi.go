// Operations of AWS Identity and Access Management that set up a role for a
// ServiceAccount. Rules: IAM API reference (CreateOpenIDConnectProvider,
// CreateRole, PutRolePolicy) and IAM User Guide, "IAM and AWS STS quotas".

package awssim

import (
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	iamVersion   = "2010-05-08"
	iamNamespace = "https://iam.amazonaws.com/doc/2010-05-08/"
	serviceIAM   = "iam"
)

type createProviderResult struct {
	XMLName xml.Name `xml:"CreateOpenIDConnectProviderResult"`
	ARN     string   `xml:"OpenIDConnectProviderArn"`
}

type createRoleResult struct {
	XMLName xml.Name `xml:"CreateRoleResult"`
	Role    iamRole
}

type iamRole struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	Arn                      string
	CreateDate               string
	AssumeRolePolicyDocument string // encoded for URLs
}

// iamParameters are the supported parameters of each operation.
var iamParameters = map[string][]string{
	"CreateOpenIDConnectProvider": {"Url", "ClientIDList", "ThumbprintList"},
	"CreateRole":                  {"RoleName", "AssumeRolePolicyDocument"},
	"PutRolePolicy":               {"RoleName", "PolicyName", "PolicyDocument"},
}

func (s *Sim) performIAM(r *awsRequest) (any, *apiError) {
	allowed, known := iamParameters[r.operation]
	if !known {
		return nil, badRequest("InvalidAction", "Could not find operation %s for version %s", r.operation, iamVersion)
	}
	for name := range r.form {
		base, _, _ := strings.Cut(name, ".")
		if base != "Action" && base != "Version" && !slices.Contains(allowed, base) {
			return nil, &apiError{http.StatusNotImplemented, "NotImplemented", "awssim does not support the parameter " + base}
		}
	}
	who := r.caller.who
	resource := "arn:aws:iam::" + who.account + ":role/" + r.form.Get("RoleName")
	if r.operation == "CreateOpenIDConnectProvider" {
		resource = "arn:aws:iam::" + who.account + ":oidc-provider/" + strings.TrimPrefix(r.form.Get("Url"), "https://")
	}
	if refused := s.iam.authorize(who, "iam:"+r.operation, resource, requestContext(who, r.region, r.TLS != nil)); refused != nil {
		return nil, &apiError{http.StatusForbidden, "AccessDenied", refused.Message}
	}
	switch r.operation {
	case "CreateOpenIDConnectProvider":
		return s.createOIDCProvider(who.account, r.form, resource)
	case "CreateRole":
		return s.createRole(r.form, resource)
	default:
		return nil, s.iam.putRolePolicy(resource, r.form.Get("PolicyName"), Document(r.form.Get("PolicyDocument")))
	}
}

func (s *Sim) createOIDCProvider(account string, form url.Values, arn string) (any, *apiError) {
	issuer := form.Get("Url")
	if s.iam.provider("aws", account, issuer) != nil {
		return nil, entityExists("Provider with url %s already exists.", issuer)
	}
	p := OIDCProvider{Issuer: issuer, Account: account, CAFile: s.issuerCA}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if strings.HasPrefix(name, "ClientIDList.member.") {
			p.ClientIDs = append(p.ClientIDs, form.Get(name))
		}
	}
	if err := s.iam.putProvider(p); err != nil {
		return nil, badRequest("ValidationError", "%v", err)
	}
	return createProviderResult{ARN: arn}, nil
}

func (s *Sim) createRole(form url.Values, arn string) (any, *apiError) {
	name, trust := form.Get("RoleName"), form.Get("AssumeRolePolicyDocument")
	if s.iam.role(arn) != nil {
		return nil, entityExists("Role with name %s already exists.", name)
	}
	if trust == "" {
		return nil, malformedPolicy("AssumeRolePolicyDocument is empty")
	}
	if err := s.iam.putRole(Role{ARN: arn, TrustPolicy: Document(trust)}, false); err != nil {
		return nil, malformedPolicy(err.Error())
	}
	return createRoleResult{Role: iamRole{
		Path: "/", RoleName: name, RoleID: s.iam.role(arn).id, Arn: arn,
		CreateDate: s.now().UTC().Format(time.RFC3339), AssumeRolePolicyDocument: url.QueryEscape(trust),
	}}, nil
}

// putRolePolicy adds an inline policy to a role, or replaces the one of that name.
func (d *directory) putRolePolicy(arn, name string, document Document) *apiError {
	p, err := parsePolicy(document, false)
	if err != nil {
		return malformedPolicy(err.Error())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.roles[arn]
	if r == nil {
		return &apiError{http.StatusNotFound, "NoSuchEntity", "The role with name " + arn[strings.LastIndexByte(arn, '/')+1:] + " cannot be found."}
	}
	changed := *r // a call may use the role at this moment
	changed.inline = maps.Clone(r.inline)
	if changed.inline == nil {
		changed.inline = map[string]*policy{}
	}
	changed.inline[name] = p
	d.roles[arn] = &changed
	return nil
}

func malformedPolicy(why string) *apiError { return badRequest("MalformedPolicyDocument", "%s", why) }

func entityExists(format string, args ...any) *apiError {
	refused := badRequest("EntityAlreadyExists", format, args...)
	refused.Status = http.StatusConflict
	return refused
}
