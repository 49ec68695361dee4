// Package document turns a JSON object, or the objects of a selection, into key-value pairs, and writes these as files
// or as one document: a .env file, Java properties, YAML or JSON. It also decodes base64 and hex.
//
// It makes no calls. Its input comes from whoever may change a secret, and its settings from pod authors, so sizes are
// known before a result is built, and no error contains a value.
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Format is the form of a file, as written in `format`.
type Format string

// The formats.
const (
	Raw        Format = ""           // the value as it is
	Files      Format = "files"      // a file for each key
	Env        Format = "env"        // NAME=value for sh, systemd and docker
	Properties Format = "properties" // for java.util.Properties
	YAML       Format = "yaml"       // a mapping
	JSON       Format = "json"       // an object, compact
)

// Formats lists every Format but Raw.
func Formats() []Format { return []Format{Files, Env, Properties, YAML, JSON} }

// OneFile reports whether the format puts all pairs into one file.
func (f Format) OneFile() bool { return f != Raw && f != Files }

// kind is the JSON type of a value.
type kind int

const (
	text kind = iota
	null
	number
	other // a boolean, a list or an object
)

// Pair is a key and its value. Printing and logging show the key alone.
type Pair struct {
	Key   string // valid UTF-8
	Value []byte // the text of a string; JSON text of any other type; empty for null

	kind kind
}

// Format prints the key.
func (p Pair) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "key "+strconv.Quote(p.Key)) }

// Null reports whether the value is null in JSON.
func (p Pair) Null() bool { return p.kind == null }

// Pairs are key-value pairs with different keys, in the byte order of the keys. This order is that of the results of
// jmesPath. It does not depend on what wrote the secret, so a rotation that only reorders keys changes no file.
type Pairs []Pair

// LogValue logs the number of the pairs.
func (p Pairs) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf("%d pairs", len(p))) }

// Error says why a value does not fit its format or encoding. It holds keys and never a value.
type Error struct {
	Keys   []string // the keys at fault; none if it is the value as a whole
	Reason string   // ends a sentence with the keys, or the value, as its subject
}

// Error names up to five keys.
func (e *Error) Error() string {
	const most = 5
	if len(e.Keys) == 0 {
		return "the value " + e.Reason
	}
	var quoted []string
	for _, key := range e.Keys[:min(most, len(e.Keys))] {
		quoted = append(quoted, quote(key))
	}
	subject := "key "
	if len(e.Keys) > 1 {
		subject = "each of the keys "
	}
	subject += strings.Join(quoted, ", ")
	if more := len(e.Keys) - most; more > 0 {
		subject += fmt.Sprintf(" and %d more", more)
	}
	return subject + " " + e.Reason
}

// quote shortens a key for a message.
func quote(key string) string {
	const most = 80 // bytes
	if len(key) > most {
		key = strings.ToValidUTF8(key[:most], "") + "…"
	}
	return strconv.Quote(key)
}

// ErrNotJSON is in the chain of the error of a value that is not exactly one JSON value in UTF-8.
var ErrNotJSON = errors.New("the value is not JSON")

// Unwrap returns ErrNotJSON for such a value.
func (e *Error) Unwrap() error {
	if e.Reason == notJSON {
		return ErrNotJSON
	}
	return nil
}

const notJSON = "is not JSON"

// Parse gives the pairs of a JSON object: strings as their text, other values as compact JSON, with the keys of nested
// objects in byte order and numbers as written. If a key repeats, the last value wins, as with jmesPath.
//
// It needs memory of about 8 times the value, and at most limit pairs.
func Parse(value []byte, limit int) (Pairs, error) {
	if !utf8.Valid(value) {
		return nil, &Error{Reason: notJSON}
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(value, &members); err != nil || members == nil {
		if !json.Valid(value) {
			return nil, &Error{Reason: notJSON}
		}
		return nil, &Error{Reason: "is " + typeName(bytes.TrimSpace(value)) + ", not a JSON object with keys"}
	}
	if len(members) > limit {
		return nil, &Error{Reason: fmt.Sprintf("has %d keys; at most %d are read", len(members), limit)}
	}
	if halfPair(value) {
		return nil, &Error{Reason: `has a \u escape that is half of a surrogate pair and no character`}
	}
	pairs := make(Pairs, 0, len(members))
	for key, member := range members {
		pair := Pair{Key: key, kind: kindOf(member)}
		var err error
		if pair.Value, err = pair.kind.text(member); err != nil {
			return nil, &Error{Keys: []string{key}, Reason: "has a value that cannot be read"} // cannot happen: it is valid JSON
		}
		pairs = append(pairs, pair)
	}
	pairs.sort()
	return pairs, nil
}

// Of gives pairs of texts: the values of a selection by the part of the name that the star stands for.
func Of(values map[string][]byte) Pairs {
	pairs := make(Pairs, 0, len(values))
	for key, value := range values {
		pairs = append(pairs, Pair{Key: key, Value: value})
	}
	pairs.sort()
	return pairs
}

func (p Pairs) sort() {
	slices.SortFunc(p, func(a, b Pair) int { return strings.Compare(a.Key, b.Key) })
}

// Decode decodes each value. A null stays as it is. Numbers, booleans, lists and objects are errors: they are not
// encoded text, even where their JSON text could be decoded.
func (p Pairs) Decode(e Encoding) (Pairs, error) {
	if e == "" {
		return p, nil
	}
	decoded := make(Pairs, len(p))
	var wrong, undecodable []string
	for i, pair := range p {
		decoded[i] = pair
		switch pair.kind {
		case null:
		case text:
			content, err := e.Decode(pair.Value)
			if err != nil {
				undecodable = append(undecodable, pair.Key)
			}
			decoded[i].Value = content
		default:
			wrong = append(wrong, pair.Key)
		}
	}
	switch {
	case len(undecodable) > 0:
		return nil, &Error{Keys: undecodable, Reason: "has a value that is not " + string(e)}
	case len(wrong) > 0:
		return nil, &Error{Keys: wrong, Reason: "has a value that is not a string, and so not " + string(e)}
	}
	return decoded, nil
}

func kindOf(member json.RawMessage) kind {
	switch c := member[0]; {
	case c == '"':
		return text
	case c == 'n':
		return null
	case c == '-' || c >= '0' && c <= '9':
		return number
	default:
		return other
	}
}

// text is what a file gets for a value.
func (k kind) text(member json.RawMessage) ([]byte, error) {
	switch k {
	case null:
		return nil, nil
	case number:
		return slices.Clone(member), nil
	case text:
		var s string
		err := json.Unmarshal(member, &s)
		return []byte(s), err
	}
	decoder := json.NewDecoder(bytes.NewReader(member))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// typeName is the type of a JSON value that is no object.
func typeName(value []byte) string {
	switch value[0] {
	case '"':
		return "a string"
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '[':
		return "a list"
	default:
		return "a number"
	}
}

// halfPair reports whether valid JSON has an escape of half a surrogate pair, which encoding/json would replace.
func halfPair(value []byte) bool {
	for i := 0; i < len(value); i++ {
		if value[i] != '\\' {
			continue
		}
		if i++; value[i] != 'u' {
			continue
		}
		unit := hexUnit(value[i+1:])
		i += 4
		switch {
		case unit < 0xd800 || unit > 0xdfff:
		case unit >= 0xdc00, !bytes.HasPrefix(value[i+1:], []byte(`\u`)):
			return true
		default:
			if low := hexUnit(value[i+3:]); low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 6
		}
	}
	return false
}

// hexUnit is the number of the first four hex digits, 0 if they are not there.
func hexUnit(digits []byte) uint64 {
	if len(digits) < 4 {
		return 0
	}
	n, _ := strconv.ParseUint(string(digits[:4]), 16, 16)
	return n
}
