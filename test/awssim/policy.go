// Parsing of IAM policy documents. Rules: IAM User Guide, "IAM JSON policy
// elements reference" and "Grammar of the IAM JSON policy language". The parser
// refuses everything that the simulator does not evaluate, because an ignored
// policy element would let a test pass for the wrong reason.

package awssim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// policy is a parsed policy document.
type policy struct {
	statements []statement
}

// statement is one statement of a policy. Of each pair such as actions and
// notActions, only one is set.
type statement struct {
	deny                    bool
	actions, notActions     []string       // patterns
	resources, notResources []template     // patterns; none in trust policies
	principals              []principalRef // only in trust policies
	conditions              []condition
}

// principalRef is one entry of a trust policy's Principal.
type principalRef struct {
	kind  string // "AWS", "Federated", "Service", or "*" for everybody
	value string
}

var (
	actionPattern      = regexp.MustCompile(`^(\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+)$`)
	accountPattern     = regexp.MustCompile(`^[0-9]{12}$`)
	awsPrincipalARN    = regexp.MustCompile(`^arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:(root|(role|user|assumed-role)/[^*?]+)$`)
	federatedPrincipal = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/[^*?]+$`)
	servicePrincipal   = regexp.MustCompile(`^[a-z0-9.-]+\.amazonaws\.com(\.cn)?$`)
)

// parsePermissions parses identity-based policies.
func parsePermissions(documents []Document) ([]*policy, error) {
	var policies []*policy
	for i, d := range documents {
		p, err := parsePolicy(d, false)
		if err != nil {
			return nil, fmt.Errorf("policy %d: %w", i+1, err)
		}
		policies = append(policies, p)
	}
	return policies, nil
}

// parsePolicy parses one document: a role's trust policy, or an identity-based
// policy.
func parsePolicy(d Document, trust bool) (*policy, error) {
	decoder := json.NewDecoder(strings.NewReader(string(d)))
	content, err := decodeUnique(decoder)
	if err != nil {
		return nil, fmt.Errorf("policy document: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("policy document: trailing data")
	}
	document, ok := content.(map[string]any)
	if !ok {
		return nil, errors.New("policy document: not a JSON object")
	}
	if err := onlyKeys(document, "Version", "Id", "Statement"); err != nil {
		return nil, err
	}
	switch document["Version"] {
	case "2012-10-17":
	case nil, "2008-10-17": // the default version; there ${…} is plain text
		if strings.Contains(string(d), "${") {
			return nil, errors.New("policy document: policy variables need Version \"2012-10-17\"")
		}
	default:
		return nil, fmt.Errorf("policy document: Version must be \"2012-10-17\", not %v", document["Version"])
	}
	statements, ok := document["Statement"].([]any)
	if !ok {
		statements = []any{document["Statement"]}
	}
	if len(statements) == 0 {
		return nil, errors.New("policy document: no statement")
	}
	p := &policy{}
	for i, raw := range statements {
		fields, ok := raw.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("statement %d: not a JSON object", i+1)
		}
		st, err := parseStatement(fields, trust)
		if err != nil {
			return nil, fmt.Errorf("statement %d: %w", i+1, err)
		}
		p.statements = append(p.statements, st)
	}
	return p, nil
}

func parseStatement(fields map[string]any, trust bool) (statement, error) {
	var st statement
	allowed := []string{"Sid", "Effect", "Action", "NotAction", "Condition"}
	if trust {
		allowed = append(allowed, "Principal")
	} else {
		allowed = append(allowed, "Resource", "NotResource")
	}
	if err := onlyKeys(fields, allowed...); err != nil {
		return st, err
	}
	switch fields["Effect"] {
	case "Allow":
	case "Deny":
		st.deny = true
	default:
		return st, fmt.Errorf("the Effect must be Allow or Deny, not %v", fields["Effect"])
	}

	var err error
	if st.actions, st.notActions, err = eitherOf(fields, "Action", "NotAction"); err != nil {
		return st, err
	}
	for _, a := range slices.Concat(st.actions, st.notActions) {
		if !actionPattern.MatchString(a) {
			return st, fmt.Errorf("action %q is not of the form service:Name", a)
		}
	}
	if trust {
		st.principals, err = parsePrincipals(fields["Principal"])
	} else {
		err = st.parseResources(fields)
	}
	if err != nil {
		return st, err
	}
	if raw, ok := fields["Condition"]; ok {
		if st.conditions, err = parseConditions(raw); err != nil {
			return st, err
		}
	}
	return st, nil
}

func (st *statement) parseResources(fields map[string]any) error {
	resources, notResources, err := eitherOf(fields, "Resource", "NotResource")
	if err != nil {
		return err
	}
	parse := func(values []string) (out []template, err error) {
		for _, v := range values {
			if v != "*" && (!strings.HasPrefix(v, "arn:") || strings.Count(v, ":") < 5) {
				return nil, fmt.Errorf("resource %q is neither an ARN nor \"*\"", v)
			}
			t, err := parseTemplate(v)
			if err != nil {
				return nil, fmt.Errorf("resource %q: %w", v, err)
			}
			out = append(out, t)
		}
		return out, nil
	}
	if st.resources, err = parse(resources); err != nil {
		return err
	}
	st.notResources, err = parse(notResources)
	return err
}

// parsePrincipals parses the Principal of a trust policy.
func parsePrincipals(raw any) ([]principalRef, error) {
	if raw == "*" {
		return []principalRef{{kind: "*"}}, nil
	}
	kinds, ok := raw.(map[string]any)
	if !ok || len(kinds) == 0 {
		return nil, errors.New("the Principal must be \"*\" or an object with AWS, Federated or Service")
	}
	var out []principalRef
	for kind, rawValues := range kinds {
		values, err := texts(rawValues)
		if err != nil {
			return nil, fmt.Errorf("the Principal %s: %w", kind, err)
		}
		for _, v := range values {
			switch {
			case kind == "AWS" && v == "*":
				out = append(out, principalRef{kind: "*"})
				continue
			case kind == "AWS" && (accountPattern.MatchString(v) || awsPrincipalARN.MatchString(v)):
			case kind == "Federated" && federatedPrincipal.MatchString(v):
			case kind == "Service" && servicePrincipal.MatchString(v):
			default:
				return nil, fmt.Errorf("the Principal %s: %q is not valid or not supported", kind, v)
			}
			out = append(out, principalRef{kind: kind, value: v})
		}
	}
	return out, nil
}

// eitherOf reads an element that a statement must have in exactly one of two forms.
func eitherOf(fields map[string]any, positive, negative string) (yes, no []string, err error) {
	rawYes, hasYes := fields[positive]
	rawNo, hasNo := fields[negative]
	if hasYes == hasNo {
		return nil, nil, fmt.Errorf("needs exactly one of %s and %s", positive, negative)
	}
	if hasYes {
		if yes, err = texts(rawYes); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", positive, err)
		}
		return yes, nil, nil
	}
	if no, err = texts(rawNo); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", negative, err)
	}
	return nil, no, nil
}

// texts reads a string or a non-empty list of strings. Conditions may use
// booleans and numbers as strings.
func texts(raw any) ([]string, error) {
	list, ok := raw.([]any)
	if !ok {
		list = []any{raw}
	}
	if len(list) == 0 {
		return nil, errors.New("the list is empty")
	}
	out := make([]string, len(list))
	for i, v := range list {
		switch v := v.(type) {
		case string:
			out[i] = v
		case bool, json.Number:
			out[i] = fmt.Sprint(v)
		default:
			return nil, fmt.Errorf("%v is not a string", v)
		}
	}
	return out, nil
}

func onlyKeys(object map[string]any, known ...string) error {
	for key := range object {
		if !slices.Contains(known, key) {
			return fmt.Errorf("element %q is not known here", key)
		}
	}
	return nil
}

// decodeUnique decodes one JSON value. Like IAM, it refuses an object with a
// duplicate key. encoding/json would use the last value.
func decodeUnique(decoder *json.Decoder) (any, error) {
	decoder.UseNumber()
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		object := map[string]any{}
		for decoder.More() {
			key, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			name := key.(string) // the decoder accepts nothing else as a key
			if _, twice := object[name]; twice {
				return nil, fmt.Errorf("element %q stands twice in one object", name)
			}
			if object[name], err = decodeUnique(decoder); err != nil {
				return nil, err
			}
		}
		_, err = decoder.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for decoder.More() {
			value, err := decodeUnique(decoder)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err = decoder.Token()
		return list, err
	}
	return token, nil
}

// decodeStrict decodes JSON and refuses fields that are unknown to into.
func decodeStrict(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if decoder.More() {
		return errors.New("trailing data after the JSON value")
	}
	return nil
}
