package jmespath

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// writer writes values as compact JSON, keys in byte order, and gives up beyond MaxResult:
// the size of a value is no bound, as one list may stand in it many times.
type writer struct {
	bytes.Buffer
	strings   *json.Encoder // onto the buffer
	forString bool          // write as go-jmespath's to_string does
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
		return ErrEvaluation // cannot happen: a string has a JSON form
	}
	w.Truncate(w.Len() - 1) // Encode ends with a newline
	return nil
}

// number writes n as it stands in the secret. to_string was the only way to have a number from
// AWS's provider, which writes 1.0 as 1 and 1e3 as 1000: that stays, unless it would be another number.
func (w *writer) number(n json.Number) {
	plain := len(n) <= 15 && !strings.ContainsAny(string(n), ".eE") // float64 holds it, and writes it alike
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
	// Paid afterwards: what is written is bounded, and four times the price of a string covers the digits of numbers.
	if costly := e.charge(4 * bytes16(w.Len())); costly != nil {
		return nil, costly
	}
	if err != nil {
		return nil, err
	}
	return w.String(), nil
}
