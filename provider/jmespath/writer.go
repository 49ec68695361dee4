package jmespath

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// writer writes values as compact JSON with keys in byte order, and stops with an error after MaxResult bytes. A small
// value can have a large text, because it can contain the same list many times.
type writer struct {
	bytes.Buffer
	strings   *json.Encoder // into the buffer
	forString bool          // write like to_string of go-jmespath
}

func newWriter(forString bool) *writer {
	w := &writer{forString: forString}
	w.strings = json.NewEncoder(&w.Buffer)
	w.strings.SetEscapeHTML(forString)
	return w
}

func (w *writer) value(v any) error {
	switch v := v.(type) {
	case nil:
		w.WriteString("null")
	case bool:
		if v {
			w.WriteString("true")
		} else {
			w.WriteString("false")
		}
	case json.Number:
		w.number(v)
	case string:
		if err := w.text(v); err != nil {
			return err
		}
	case []any:
		for i, element := range v {
			w.WriteByte(separator('[', i))
			if err := w.value(element); err != nil {
				return err
			}
		}
		w.end("[]", len(v))
	case map[string]any:
		for i, key := range slices.Sorted(maps.Keys(v)) {
			w.WriteByte(separator('{', i))
			if err := w.text(key); err != nil {
				return err
			}
			w.WriteByte(':')
			if err := w.value(v[key]); err != nil {
				return err
			}
		}
		w.end("{}", len(v))
	}
	if w.Len() > MaxResult {
		return ErrResultTooLarge
	}
	return nil
}

func separator(open byte, i int) byte {
	if i == 0 {
		return open
	}
	return ','
}

func (w *writer) end(brackets string, size int) {
	if size > 0 {
		brackets = brackets[1:]
	}
	w.WriteString(brackets)
}

func (w *writer) text(s string) error {
	if len(s) > MaxResult {
		return ErrResultTooLarge
	}
	if err := w.strings.Encode(s); err != nil {
		return ErrEvaluation // cannot happen: every string has a JSON form
	}
	w.Truncate(w.Len() - 1) // Encode ends with a newline
	return nil
}

// number writes n as in the secret. With AWS's provider only to_string can write a number, and it writes 1.0 as 1 and
// 1e3 as 1000. to_string keeps that here, unless it would change the number.
func (w *writer) number(n json.Number) {
	plain := len(n) <= 15 && !strings.ContainsAny(string(n), ".eE") // float64 represents it exactly and writes the same text
	if w.forString && !plain {
		n = asFloat(n)
	}
	w.WriteString(string(n))
}

func asFloat(n json.Number) json.Number {
	f, err := n.Float64()
	if err != nil {
		return n
	}
	spelled, err := spellFloat(f)
	if err != nil {
		return n
	}
	before, err := parseDecimal(n)
	if err != nil {
		return n
	}
	if after, err := parseDecimal(spelled); err != nil || before.compare(after) != 0 {
		return n
	}
	return spelled
}

func toString(e *evaluation, args []any) (any, error) {
	if text, ok := args[0].(string); ok {
		return text, nil
	}
	w := newWriter(true)
	err := w.value(args[0])
	// Charged afterwards: the output has a limit, and four times the cost of a string covers the digits of numbers.
	if costly := e.charge(4 * bytes16(w.Len())); costly != nil {
		return nil, costly
	}
	if err != nil {
		return nil, err
	}
	return w.String(), nil
}
