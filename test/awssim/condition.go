// Condition blocks of IAM policies. Rules: IAM User Guide, "IAM JSON policy
// elements: Condition", "Condition operators", "Multivalued context keys" and
// "Policy variables".

package awssim

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// contextKeys holds the context of a request: condition key in lower case (IAM
// ignores case in key names) → values. Only a multivalued key has more than one.
type contextKeys map[string][]string

func (k contextKeys) set(key string, values ...string) { k[strings.ToLower(key)] = values }

// condition is one operator on one condition key.
type condition struct {
	operator operator
	// quantifier is "ForAllValues", "ForAnyValue" or "".
	quantifier string
	ifExists   bool
	key        string // lower case
	values     []template
}

// operator compares a request's value with a policy's value.
type operator struct {
	// match compares one value. The policy value marks its pattern characters,
	// see template.
	match func(policy expanded, value string) bool
	// negated operators hold if no value matches, or if the request lacks the
	// key.
	negated bool
	// null is the Null operator. It only checks whether the key exists.
	null bool
}

var operators = map[string]operator{
	"StringEquals":              {match: func(p expanded, v string) bool { return p.text() == v }},
	"StringNotEquals":           {match: func(p expanded, v string) bool { return p.text() == v }, negated: true},
	"StringEqualsIgnoreCase":    {match: func(p expanded, v string) bool { return strings.EqualFold(p.text(), v) }},
	"StringNotEqualsIgnoreCase": {match: func(p expanded, v string) bool { return strings.EqualFold(p.text(), v) }, negated: true},
	"StringLike":                {match: expanded.matches},
	"StringNotLike":             {match: expanded.matches, negated: true},
	// According to the reference, ArnEquals and ArnLike behave the same.
	"ArnEquals":    {match: expanded.matchesARN},
	"ArnLike":      {match: expanded.matchesARN},
	"ArnNotEquals": {match: expanded.matchesARN, negated: true},
	"ArnNotLike":   {match: expanded.matchesARN, negated: true},
	"Bool":         {match: func(p expanded, v string) bool { return strings.EqualFold(p.text(), v) }},
	"Null":         {null: true},
}

// knownKeys are the condition keys with a value in the simulator, in addition to
// those of tags and issuers.
var knownKeys = []string{
	"aws:principalaccount", "aws:principalarn", "aws:requestedregion", "aws:securetransport",
	"aws:tagkeys", "sts:externalid", "sts:rolesessionname",
}

// issuerKey is a condition key of an OIDC provider: the issuer without its
// scheme, then the claim. EKS issuers have these two.
var issuerKey = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*([.:][a-z0-9-]+)+(/[^\s]*)?:(sub|aud)$`)

// checkKey refuses a condition key that never has a value in the simulator.
func checkKey(written string) error {
	key := strings.ToLower(written)
	for _, prefix := range []string{"aws:principaltag/", "aws:requesttag/", "aws:resourcetag/", "secretsmanager:resourcetag/"} {
		if strings.HasPrefix(key, prefix) && len(key) > len(prefix) {
			return nil
		}
	}
	if slices.Contains(knownKeys, key) || issuerKey.MatchString(key) {
		return nil
	}
	return fmt.Errorf("condition key %q is not known to the simulator", written)
}

func parseConditions(raw any) ([]condition, error) {
	block, ok := raw.(map[string]any)
	if !ok {
		return nil, errors.New("the Condition is not an object")
	}
	var out []condition
	for name, rawKeys := range block {
		var c condition
		rest := name
		if quantifier, operator, found := strings.Cut(name, ":"); found {
			if quantifier != "ForAllValues" && quantifier != "ForAnyValue" {
				return nil, fmt.Errorf("condition operator %q is not known", name)
			}
			c.quantifier, rest = quantifier, operator
		}
		rest, c.ifExists = strings.CutSuffix(rest, "IfExists")
		if c.operator, ok = operators[rest]; !ok || c.operator.null && (c.ifExists || c.quantifier != "") {
			return nil, fmt.Errorf("condition operator %q is not known", name)
		}
		keys, ok := rawKeys.(map[string]any)
		if !ok || len(keys) == 0 {
			return nil, fmt.Errorf("condition %s: not an object with condition keys", name)
		}
		for key, rawValues := range keys {
			c := c
			if err := c.setKey(key, rawValues); err != nil {
				return nil, fmt.Errorf("condition %s: %w", name, err)
			}
			if rest == "Bool" || rest == "Null" {
				if err := c.checkBooleans(); err != nil {
					return nil, fmt.Errorf("condition %s: %w", name, err)
				}
			}
			out = append(out, c)
		}
	}
	return out, nil
}

func (c *condition) setKey(key string, rawValues any) error {
	if err := checkKey(key); err != nil {
		return err
	}
	c.key = strings.ToLower(key)
	values, err := texts(rawValues)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	for _, v := range values {
		t, err := parseTemplate(v)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		c.values = append(c.values, t)
	}
	return nil
}

func (c *condition) checkBooleans() error {
	for _, v := range c.values {
		if v.source != "true" && v.source != "false" {
			return fmt.Errorf("%s: %q is neither true nor false", c.key, v.source)
		}
	}
	return nil
}

// holds evaluates the condition for a request.
func (c *condition) holds(request contextKeys) bool {
	values, exists := request[c.key]
	if c.operator.null {
		wantMissing := c.values[0].source == "true"
		return wantMissing != exists
	}
	if !exists || len(values) == 0 {
		return c.ifExists || c.quantifier == "ForAllValues" || c.operator.negated && c.quantifier == ""
	}
	one := func(value string) bool { return c.matchesOne(request, value) != c.operator.negated }
	if c.quantifier == "ForAnyValue" {
		return slices.ContainsFunc(values, one)
	}
	return !slices.ContainsFunc(values, func(v string) bool { return !one(v) })
}

// matchesOne reports whether a value of the request matches any of the policy's.
// A policy value with a variable that the request lacks matches nothing.
func (c *condition) matchesOne(request contextKeys, value string) bool {
	return slices.ContainsFunc(c.values, func(t template) bool {
		e, ok := t.expand(request)
		return ok && c.operator.match(e, value)
	})
}
