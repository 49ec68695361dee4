// Text patterns of IAM policies. Rules: IAM User Guide, "IAM JSON policy
// elements: Resource" (wildcards) and "Policy variables and tags".

package awssim

import (
	"errors"
	"fmt"
	"strings"
)

// template is a policy's text with wildcards (* and ?) and variables (${key}).
type template struct {
	source string
	parts  []templatePart
}

// templatePart is literal text or a variable.
type templatePart struct {
	literal  string
	variable string // condition key in lower case
	fallback string // default when the request has no value
	hasElse  bool
}

// expanded is a template with variable values filled in. Characters from a value,
// and from ${*}, ${?} and ${$}, are marked as literal.
type expanded struct {
	runes   []rune
	literal []bool
}

// parseTemplate refuses variables that the simulator does not support.
func parseTemplate(source string) (template, error) {
	t := template{source: source}
	rest := source
	for {
		before, after, found := strings.Cut(rest, "${")
		if before != "" {
			t.parts = append(t.parts, templatePart{literal: before})
		}
		if !found {
			return t, nil
		}
		inside, behind, closed := strings.Cut(after, "}")
		if !closed {
			return t, errors.New("a policy variable does not end")
		}
		part, err := parseVariable(inside)
		if err != nil {
			return t, err
		}
		t.parts = append(t.parts, part)
		rest = behind
	}
}

func parseVariable(inside string) (templatePart, error) {
	switch inside {
	case "*", "?", "$":
		return templatePart{fallback: inside, hasElse: true}, nil
	}
	key, fallback, hasElse := strings.Cut(inside, ",")
	key = strings.ToLower(strings.TrimSpace(key))
	if err := checkKey(key); err != nil {
		return templatePart{}, fmt.Errorf("policy variable: %w", err)
	}
	fallback = strings.TrimSpace(fallback)
	if hasElse {
		if len(fallback) < 2 || fallback[0] != '\'' || fallback[len(fallback)-1] != '\'' {
			return templatePart{}, fmt.Errorf("policy variable %s: its default is not in single quotes", key)
		}
		fallback = fallback[1 : len(fallback)-1]
	}
	return templatePart{variable: key, fallback: fallback, hasElse: hasElse}, nil
}

// expand fills in the variables. It returns false if the request lacks one.
func (t template) expand(request contextKeys) (expanded, bool) {
	var e expanded
	for _, p := range t.parts {
		text, literal := p.literal, false
		if p.literal == "" {
			literal = true
			values := request[p.variable]
			switch {
			case p.variable != "" && len(values) == 1:
				text = values[0]
			case p.hasElse:
				text = p.fallback
			default:
				return expanded{}, false
			}
		}
		for _, r := range text {
			e.runes = append(e.runes, r)
			e.literal = append(e.literal, literal)
		}
	}
	return e, true
}

func (e expanded) text() string { return string(e.runes) }

// matches compares the text. * matches any number of characters, ? exactly one.
func (e expanded) matches(value string) bool {
	text := []rune(value)
	// Greedy match: after a mismatch, the last * takes one more character.
	p, v, star, resume := 0, 0, -1, 0
	for v < len(text) {
		switch {
		case p < len(e.runes) && !e.literal[p] && e.runes[p] == '*':
			star, resume = p, v
			p++
		case p < len(e.runes) && (!e.literal[p] && e.runes[p] == '?' || e.runes[p] == text[v]):
			p++
			v++
		case star >= 0:
			resume++
			p, v = star+1, resume
		default:
			return false
		}
	}
	for p < len(e.runes) && !e.literal[p] && e.runes[p] == '*' {
		p++
	}
	return p == len(e.runes)
}

// matchesARN compares the six components of an ARN separately, so that a
// wildcard does not match across a colon.
func (e expanded) matchesARN(value string) bool {
	parts := strings.SplitN(value, ":", 6)
	if len(parts) != 6 {
		return false
	}
	start := 0
	for i, part := range parts {
		end := len(e.runes)
		if i < 5 {
			for end = start; end < len(e.runes) && e.runes[end] != ':'; end++ {
			}
			if end == len(e.runes) {
				return false
			}
		}
		component := expanded{runes: e.runes[start:end], literal: e.literal[start:end]}
		if !component.matches(part) {
			return false
		}
		start = end + 1
	}
	return true
}

// matchesAction compares an action with a pattern, ignoring case.
func matchesAction(pattern, action string) bool {
	e := expanded{runes: []rune(strings.ToLower(pattern))}
	e.literal = make([]bool, len(e.runes))
	return e.matches(strings.ToLower(action))
}
