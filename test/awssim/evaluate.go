// Authorization decisions. Rules: IAM User Guide, "Policy evaluation logic" and
// "How permissions work in cross-account access". The text of a denial is from
// "Troubleshoot access denied error messages".

package awssim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// decision is the result of an evaluation.
type decision int

const (
	implicitDeny decision = iota
	allow
	explicitDeny
)

// decide evaluates several policies. One Deny overrides every Allow.
func decide(policies []*policy, applies func(*statement) bool) decision {
	result := implicitDeny
	for _, p := range policies {
		for i := range p.statements {
			st := &p.statements[i]
			if !applies(st) {
				continue
			}
			if st.deny {
				return explicitDeny
			}
			result = allow
		}
	}
	return result
}

// decideIdentity evaluates identity-based policies.
func decideIdentity(policies []*policy, action, resource string, request contextKeys) decision {
	return decide(policies, func(st *statement) bool {
		return st.coversAction(action) && st.coversResource(resource, request) && st.conditionsHold(request)
	})
}

// decideTrust evaluates a role's trust policy. by reports whether a Principal
// entry matches the caller.
func decideTrust(trust *policy, action string, by func(principalRef) bool, request contextKeys) decision {
	if trust == nil {
		return implicitDeny
	}
	return decide([]*policy{trust}, func(st *statement) bool {
		return st.coversAction(action) && slices.ContainsFunc(st.principals, by) && st.conditionsHold(request)
	})
}

func (st *statement) coversAction(action string) bool {
	match := func(pattern string) bool { return matchesAction(pattern, action) }
	if st.notActions != nil {
		return !slices.ContainsFunc(st.notActions, match)
	}
	return slices.ContainsFunc(st.actions, match)
}

func (st *statement) coversResource(resource string, request contextKeys) bool {
	match := func(t template) bool {
		e, ok := t.expand(request)
		return ok && e.matches(resource)
	}
	if st.notResources != nil {
		return !slices.ContainsFunc(st.notResources, match)
	}
	return slices.ContainsFunc(st.resources, match)
}

func (st *statement) conditionsHold(request contextKeys) bool {
	return !slices.ContainsFunc(st.conditions, func(c condition) bool { return !c.holds(request) })
}

// isAWSPrincipal reports whether a trust policy's entry matches the caller, and
// whether it names the caller rather than its account.
func isAWSPrincipal(ref principalRef, who principal) (matches, byName bool) {
	if ref.kind == "*" {
		return true, false
	}
	if ref.kind != "AWS" {
		return false, false
	}
	if ref.value == who.account || strings.HasSuffix(ref.value, "::"+who.account+":root") {
		return true, false
	}
	named := ref.value == who.arn || who.roleARN != "" && ref.value == who.roleARN
	return named, named
}

// requestContext returns the condition keys of every request of a principal.
func requestContext(who principal, region string, secure bool) contextKeys {
	keys := contextKeys{}
	keys.set("aws:SecureTransport", fmt.Sprint(secure))
	if region != "" {
		keys.set("aws:RequestedRegion", region)
	}
	if who.arn == "" {
		return keys
	}
	keys.set("aws:PrincipalAccount", who.account)
	keys.set("aws:PrincipalArn", who.arn)
	if who.roleARN != "" {
		keys.set("aws:PrincipalArn", who.roleARN)
	}
	for key, value := range who.tags {
		keys.set("aws:PrincipalTag/"+key, value)
	}
	return keys
}

// withResourceTags returns a copy with the condition keys of a resource's tags.
// Source: Service Authorization Reference, "Condition keys for AWS Secrets Manager".
func (k contextKeys) withResourceTags(tags []secretTag) contextKeys {
	if len(tags) == 0 {
		return k
	}
	out := maps.Clone(k)
	for _, t := range tags {
		out.set("aws:ResourceTag/"+t.Key, t.Value)
		out.set("secretsmanager:ResourceTag/"+t.Key, t.Value)
	}
	return out
}

// denied returns the error for a denied action, with the text of the real
// services. The query protocol has its own code and status: see deniedQuery.
func denied(who principal, action, resource string, d decision) *apiError {
	reason := fmt.Sprintf("because no identity-based policy allows the %s action", action)
	if d == explicitDeny {
		reason = "with an explicit deny in an identity-based policy"
	}
	on := " on resource: " + resource
	if resource == "*" { // the services leave out the resource of an action that has none
		on = ""
	}
	return &apiError{
		Status:  http.StatusBadRequest,
		Code:    "AccessDeniedException",
		Message: fmt.Sprintf("User: %s is not authorized to perform: %s%s %s", who.arn, action, on, reason),
	}
}
