package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// A mapping is written without a YAML library: a tree of nodes needs 2,000 times the memory of an awkward value. The
// tests read it with one.
//
// Strings are in double quotes, so that readers of YAML 1.1 and of YAML 1.2 both take yes, 1e3, ~ and dates as
// strings. Numbers and booleans are plain, and lists and objects are in the flow style.

// appendYAML appends one line of a mapping.
func appendYAML(line []byte, p Pair) []byte {
	if key := appendKey(nil, p.Key); len(key) > maxSimpleKey {
		line = append(append(append(line, "? "...), key...), "\n: "...)
	} else {
		line = append(append(line, key...), ": "...)
	}
	switch p.kind {
	case text:
		line = appendQuoted(line, string(p.Value))
	case null:
		line = append(line, "null"...)
	case number:
		line = append(line, p.Value...)
	default:
		decoder := json.NewDecoder(bytes.NewReader(p.Value))
		decoder.UseNumber()
		var v any
		_ = decoder.Decode(&v) // Parse wrote it
		line = appendFlow(line, v)
	}
	return append(line, '\n')
}

// maxSimpleKey is the most characters of a key without a question mark (YAML 1.2.2, 8.2.2, "Block Mappings").
const maxSimpleKey = 1000

// appendFlow appends a value in the flow style.
func appendFlow(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendQuoted(b, v)
	case []any:
		b = append(b, '[')
		for i, element := range v {
			b = appendFlow(appendComma(b, i), element)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			b = appendComma(b, i)
			quoted := appendQuoted(nil, key)
			if len(quoted) > maxSimpleKey {
				b = append(b, "? "...)
			}
			b = appendFlow(append(append(b, quoted...), ": "...), v[key])
		}
		return append(b, '}')
	case nil:
		return append(b, "null"...)
	default: // a json.Number or a boolean
		return fmt.Append(b, v)
	}
}

func appendComma(b []byte, i int) []byte {
	if i == 0 {
		return b
	}
	return append(b, ", "...)
}

// appendQuoted appends a string in double quotes. It is a JSON string, with the characters escaped that YAML does not
// take as they are (YAML 1.2.2, 5.1, "Character Set").
func appendQuoted(b []byte, s string) []byte {
	from := len(b)
	b = appendString(b, s)
	if !bytes.ContainsFunc(b[from:], unprintable) {
		return b
	}
	quoted := string(b[from:])
	b = b[:from]
	for _, r := range quoted {
		if unprintable(r) {
			b = fmt.Appendf(b, `\u%04x`, r)
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

func unprintable(r rune) bool {
	return r >= 0x7f && r < 0xa0 || r == 0xfeff || r == 0xfffe || r == 0xffff
}

// plainKeyRE matches keys that are strings in every version of YAML, if they are not one of yamlWords.
var plainKeyRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,99}$`)

// yamlWords are booleans and nulls of YAML 1.1, in lower case.
var yamlWords = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

func appendKey(b []byte, key string) []byte {
	if plainKeyRE.MatchString(key) && !slices.Contains(yamlWords, strings.ToLower(key)) {
		return append(b, key...)
	}
	return appendQuoted(b, key)
}
