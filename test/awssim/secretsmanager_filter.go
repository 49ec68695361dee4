// AWS Secrets Manager: the filters of ListSecrets and BatchGetSecretValue.
//
// Sources: API reference of the data type Filter (keys, case, negation, limits);
// User Guide "Find secrets in AWS Secrets Manager" (words, and examples of
// description and owning-service, which contradict the reference's "prefix match,
// case-sensitive"); moto, whose tests against the service agree with the User
// Guide. The texts of the errors are moto's. A filter has no way to tie a tag's
// value to its key, and each matches a prefix: tag-key "team" and tag-value
// "payments" also find a secret with the tags team=web and owner=payments-eu.

package awssim

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

const (
	maxSecretFilters      = 10
	maxSecretFilterValues = 10
	maxSecretFilterLength = 512
)

var (
	secretFilterKeys  = []string{"description", "name", "tag-key", "tag-value", "primary-region", "owning-service", "all"}
	secretFilterValue = regexp.MustCompile(`^!?[a-zA-Z0-9 :_@/+=.!-]*$`)
)

// secretFilter is the API's data type Filter.
type secretFilter struct {
	Key    *string
	Values []string
}

// secretFilters hold if every filter holds.
type secretFilters []secretFilter

// String returns the filters for the call log: "name=prod/,test/ tag-key=team".
func (fs secretFilters) String() string {
	var out []string
	for _, f := range fs {
		out = append(out, deref(f.Key)+"="+strings.Join(f.Values, ","))
	}
	return strings.Join(out, " ")
}

// limits checks the constraints of the members.
func (fs secretFilters) limits(limits *constraints) {
	limits.length("filters", "'["+fs.String()+"]'", len(fs), 0, maxSecretFilters)
	for i, f := range fs {
		member := fmt.Sprintf("filters.%d.member.", i+1)
		limits.oneOf(member+"key", f.Key, secretFilterKeys...)
		if f.Values == nil {
			continue
		}
		printed := "'[" + strings.Join(f.Values, ", ") + "]'"
		limits.length(member+"values", printed, len(f.Values), 1, maxSecretFilterValues)
		for _, value := range f.Values {
			if len(value) > maxSecretFilterLength || !secretFilterValue.MatchString(value) {
				limits.add(member+"values", printed, fmt.Sprintf("Member must satisfy constraint: [Member must have length less than or equal to %d, "+
					`Member must satisfy regular expression pattern: ^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$]`, maxSecretFilterLength))
				break
			}
		}
	}
}

// check refuses a filter without key or values, which the constraints allow.
func (fs secretFilters) check() *apiError {
	for _, f := range fs {
		switch {
		case f.Key == nil:
			return clientError("InvalidParameterException", "Invalid filter key")
		case f.Values == nil:
			return clientError("InvalidParameterException", "Invalid filter values for key: %s", *f.Key)
		}
	}
	return nil
}

func (fs secretFilters) hold(sec *secret) bool {
	return !slices.ContainsFunc(fs, func(f secretFilter) bool { return !f.holds(sec) })
}

// holds reports whether one of the values matches. A value with '!' matches if
// the rest of it does not.
func (f secretFilter) holds(sec *secret) bool {
	return slices.ContainsFunc(f.Values, func(value string) bool {
		wanted, negated := strings.CutPrefix(value, "!")
		return f.finds(sec, wanted) != negated
	})
}

// finds reports whether the secret has an attribute that the filter's key and one
// value select.
func (f secretFilter) finds(sec *secret, wanted string) bool {
	hasPrefix := func(s string) bool { return strings.HasPrefix(s, wanted) }
	switch *f.Key {
	case "name":
		return hasPrefix(sec.name)
	case "tag-key":
		return slices.ContainsFunc(sec.tags, func(t secretTag) bool { return hasPrefix(t.Key) })
	case "tag-value":
		return slices.ContainsFunc(sec.tags, func(t secretTag) bool { return hasPrefix(t.Value) })
	case "primary-region":
		return sec.primaryRegion != "" && hasPrefix(sec.primaryRegion)
	case "owning-service":
		return sec.owningService != "" && strings.HasPrefix(strings.ToLower(sec.owningService), strings.ToLower(wanted))
	case "description":
		return hasWords(sec.description, wanted)
	}
	attributes := []string{sec.name, sec.description}
	for _, t := range sec.tags {
		attributes = append(attributes, t.Key, t.Value)
	}
	return slices.ContainsFunc(attributes, func(s string) bool { return hasWords(s, wanted) })
}

// hasWords reports whether each word of wanted begins a word of text, in any case
// and order.
func hasWords(text, wanted string) bool {
	has, wants := words(text), words(wanted)
	return len(wants) > 0 && !slices.ContainsFunc(wants, func(w string) bool {
		return !slices.ContainsFunc(has, func(h string) bool { return strings.HasPrefix(h, w) })
	})
}

// words splits text where a lower-case letter is followed by an upper-case one,
// between letters and digits, and at all other characters. It returns the words
// in lower case.
func words(text string) []string {
	var out []string
	previous := ' '
	for _, r := range text {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
		case !unicode.IsLetter(previous) && !unicode.IsDigit(previous),
			unicode.IsDigit(previous) != unicode.IsDigit(r),
			unicode.IsLower(previous) && unicode.IsUpper(r):
			out = append(out, string(unicode.ToLower(r)))
		default:
			out[len(out)-1] += string(unicode.ToLower(r))
		}
		previous = r
	}
	return out
}
