// AWS Security Token Service. Rules: STS API reference (AssumeRole,
// AssumeRoleWithWebIdentity, GetCallerIdentity, Common errors) and IAM User
// Guide, "Methods to assume a role" (role chaining: one hour at most).

package awssim

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	sessionNamePattern = regexp.MustCompile(`^[\w+=,.@-]*$`)
	externalIDPattern  = regexp.MustCompile(`^[\w+=,.@:/-]*$`)
)

// stsCredentials is the Credentials element of a response.
type stsCredentials struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

type assumedRoleUser struct {
	AssumedRoleID string `xml:"AssumedRoleId"`
	Arn           string
}

type assumeRoleResult struct {
	XMLName         xml.Name `xml:"AssumeRoleResult"`
	Credentials     stsCredentials
	AssumedRoleUser assumedRoleUser
}

type webIdentityResult struct {
	XMLName                     xml.Name `xml:"AssumeRoleWithWebIdentityResult"`
	SubjectFromWebIdentityToken string
	Audience                    string
	AssumedRoleUser             assumedRoleUser
	Credentials                 stsCredentials
	Provider                    string
}

type callerIdentityResult struct {
	XMLName xml.Name `xml:"GetCallerIdentityResult"`
	Arn     string
	UserID  string `xml:"UserId"`
	Account string
}

// stsParameters are the supported parameters of each operation. Others (session
// policies, MFA, source identity) are refused, because a session without its
// session policy would have too many permissions.
var stsParameters = map[string][]string{
	"AssumeRole":                {"RoleArn", "RoleSessionName", "DurationSeconds", "ExternalId", "Tags"},
	"AssumeRoleWithWebIdentity": {"RoleArn", "RoleSessionName", "DurationSeconds", "WebIdentityToken"},
	"GetCallerIdentity":         {},
}

func (s *Sim) performSTS(r *awsRequest) (any, *apiError) {
	allowed, known := stsParameters[r.operation]
	if !known || r.form.Get("Version") != stsVersion {
		return nil, badRequest("InvalidAction", "Could not find operation %s for version %s", r.operation, r.form.Get("Version"))
	}
	for name := range r.form {
		base, _, _ := strings.Cut(name, ".")
		if base != "Action" && base != "Version" && !slices.Contains(allowed, base) {
			return nil, &apiError{http.StatusNotImplemented, "NotImplemented", "awssim does not support the parameter " + base}
		}
	}
	if slices.Contains(s.stsDisabled, r.region) {
		return nil, &apiError{http.StatusForbidden, "RegionDisabledException", fmt.Sprintf(
			"STS is not activated in this region for account:%s. Your account administrator can activate STS in this region using the IAM Console.", s.account)}
	}
	switch r.operation {
	case "AssumeRole":
		return s.assumeRole(r)
	case "AssumeRoleWithWebIdentity":
		return s.assumeRoleWithWebIdentity(r)
	default:
		who := r.caller.who
		return callerIdentityResult{Arn: who.arn, UserID: who.userID, Account: who.account}, nil
	}
}

// roleRequest holds the common parameters of both AssumeRole operations.
type roleRequest struct {
	roleARN, session string
	duration         time.Duration
	keys             contextKeys
}

// readRoleRequest checks the common parameters. limits may already contain faults
// of other parameters.
func (s *Sim) readRoleRequest(r *awsRequest, limits *stsLimits) (roleRequest, *apiError) {
	in := roleRequest{roleARN: r.form.Get("RoleArn"), session: r.form.Get("RoleSessionName"), duration: defaultSession}
	limits.needText("roleArn", formValue(r.form, "RoleArn"), 20, 2048)
	limits.needText("roleSessionName", formValue(r.form, "RoleSessionName"), 2, 64)
	if !sessionNamePattern.MatchString(in.session) {
		limits.add("roleSessionName", "'"+in.session+"' ", `Member must satisfy regular expression pattern: [\w+=,.@-]*`)
	}
	if text := r.form.Get("DurationSeconds"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return in, badRequest("MalformedInput", "DurationSeconds is not an integer")
		}
		limits.number("durationSeconds", seconds, 900, 43200)
		in.duration = time.Duration(seconds) * time.Second
	}
	if err := limits.err(); err != nil {
		return in, err
	}
	if !roleARN.MatchString(in.roleARN) {
		return in, validationError(in.roleARN + " is invalid")
	}
	in.keys = requestContext(r.who(), r.region, r.TLS != nil)
	in.keys.set("sts:RoleSessionName", in.session)
	return in, nil
}

// assumeRole is AssumeRole. The role must trust the caller, and the caller must
// have permission to assume it. Within one account, a trust policy that names the
// caller is enough. Transitive tags of the caller's session count as session tags
// of the request (IAM User Guide, "Chaining roles with session tags").
func (s *Sim) assumeRole(r *awsRequest) (any, *apiError) {
	var limits stsLimits
	externalID := formValue(r.form, "ExternalId")
	limits.text("externalId", externalID, 2, 1224)
	if externalID != nil && !externalIDPattern.MatchString(*externalID) {
		limits.add("externalId", "", `Member must satisfy regular expression pattern: [\w+=,.@:\/-]*`)
	}
	in, refused := s.readRoleRequest(r, &limits)
	if refused != nil {
		return nil, refused
	}
	if externalID != nil {
		in.keys.set("sts:ExternalId", *externalID)
	}
	tags, refused := sessionTags(r.form)
	if refused != nil {
		return nil, refused
	}
	inherited := r.caller.who.transitive
	for key, value := range inherited {
		if _, twice := tags[key]; twice {
			return nil, badRequest("InvalidParameterValue", "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session")
		}
		tags[key] = value
	}
	in.keys.addTags(tags)

	target := s.iam.role(in.roleARN)
	actions := []string{"sts:AssumeRole"}
	if len(tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	for _, action := range actions {
		if target == nil || !s.mayAssume(r.caller.who, target, action, in.keys) {
			return nil, &apiError{http.StatusForbidden, "AccessDenied", fmt.Sprintf(
				"User: %s is not authorized to perform: %s on resource: %s", r.caller.who.arn, action, in.roleARN)}
		}
	}
	if r.caller.who.roleARN != "" && in.duration > time.Hour {
		return nil, validationError("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	}
	c, refused := s.openSession(target, in.session, in.duration, tags, inherited)
	if refused != nil {
		return nil, refused
	}
	return assumeRoleResult{Credentials: c.asXML(), AssumedRoleUser: c.asUser()}, nil
}

// mayAssume evaluates the trust policy and the caller's own policies.
func (s *Sim) mayAssume(who principal, target *role, action string, keys contextKeys) bool {
	trust := decideTrust(target.trust, action, func(ref principalRef) bool {
		matches, _ := isAWSPrincipal(ref, who)
		return matches
	}, keys)
	named := decideTrust(target.trust, action, func(ref principalRef) bool {
		_, byName := isAWSPrincipal(ref, who)
		return byName
	}, keys)
	policies, _ := s.iam.policiesOf(who)
	own := decideIdentity(policies, action, target.arn, keys)
	if trust != allow || own == explicitDeny {
		return false
	}
	return own == allow || named == allow && who.account == target.account
}

// openSession issues credentials of a role. transitive are the tags that chained sessions inherit.
func (s *Sim) openSession(r *role, session string, duration time.Duration, tags, transitive map[string]string) (*credential, *apiError) {
	if duration > r.maxSession {
		return nil, validationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	who := r.sessionPrincipal(session, tags)
	who.transitive = transitive
	return s.credentials.issue(who, s.now().Add(duration)), nil
}

// sessionPrincipal is the principal of a session. Its tags override the role's.
func (r *role) sessionPrincipal(session string, tags map[string]string) principal {
	all := maps.Clone(r.tags)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, tags)
	return principal{
		arn:     fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/%s", r.partition, r.account, r.name, session),
		userID:  r.id + ":" + session,
		account: r.account,
		roleARN: r.arn,
		tags:    all,
	}
}

// addTags adds the session tags of a request.
func (k contextKeys) addTags(tags map[string]string) {
	if len(tags) == 0 {
		return
	}
	for key, value := range tags {
		k.set("aws:RequestTag/"+key, value)
	}
	k.set("aws:TagKeys", slices.Sorted(maps.Keys(tags))...)
}

// sessionTags parses Tags.member.N.Key and .Value, at most 50.
func sessionTags(form url.Values) (map[string]string, *apiError) {
	tags := map[string]string{}
	for n := 1; ; n++ {
		prefix := "Tags.member." + strconv.Itoa(n) + "."
		key := form.Get(prefix + "Key")
		if key == "" {
			return tags, nil
		}
		if _, twice := tags[key]; twice || n > 50 || len(key) > 128 || len(form.Get(prefix+"Value")) > 256 {
			return nil, validationError("the session tags are not valid")
		}
		tags[key] = form.Get(prefix + "Value")
	}
}

func (c *credential) asXML() stsCredentials {
	return stsCredentials{
		AccessKeyID: c.accessKeyID, SecretAccessKey: c.secret, SessionToken: c.token,
		Expiration: c.expires.UTC().Format(time.RFC3339),
	}
}

func (c *credential) asUser() assumedRoleUser {
	return assumedRoleUser{AssumedRoleID: c.who.userID, Arn: c.who.arn}
}

// who returns the authenticated caller, or zero.
func (r *awsRequest) who() principal {
	if r.caller == nil {
		return principal{}
	}
	return r.caller.who
}

// validationError is the query protocol's ValidationException.
func validationError(message string) *apiError {
	return &apiError{http.StatusBadRequest, "ValidationError", message}
}

// formValue returns a parameter, or nil if it is not given.
func formValue(form url.Values, name string) *string {
	if !form.Has(name) {
		return nil
	}
	value := form.Get(name)
	return &value
}
