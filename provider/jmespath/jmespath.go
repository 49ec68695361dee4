// Package jmespath extracts a part of a JSON secret by a JMESPath expression, whoever wrote the two.
//
// The language is that of https://jmespath.org/specification.html as jmespath/go-jmespath v0.4.0
// understands it, the library of AWS's own provider: its compliance suite passes here, and generated
// expressions are held against it side by side. It has a parser and evaluator of its own because
// expressions come from pod authors, one process serves a whole node, and no library stands that:
//
//   - jmespath/go-jmespath panics on a\u0080, merge('x'), @(a), [1:2:9223372036854775807] and
//     contains([[`1`]], [`1`]), overflows the stack on 500,000 × "!", and hides its syntax tree, so
//     nothing can be bounded before it runs.
//   - jmespath-community/go-jmespath shows the tree, but panics on the first and the last two as well,
//     reads raw strings and literals otherwise, and adds a language (let, $, arithmetic).
//   - Both compute with float64, which turns 12345678901234567890 into another number, and both
//     print argument values, that is secrets, in their errors.
//
// So here the cost is counted while an expression runs, not guessed from its text. A number is its
// spelling (json.Number), compared and added up as a decimal. No error holds a value.
//
// What go-jmespath does otherwise: it gives keys, values and `*` in random order, evaluates the right
// side of `*` on null once for each value too many, sorts the document itself in sort_by, yields NaN
// for avg of an empty list, and finds a wrong function, argument count, `&` or slice step only
// when it comes to it.
package jmespath

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"unicode/utf8"
)

// Bounds on what a pod author can ask for.
const (
	MaxExpression = 4096    // bytes of an expression
	MaxNesting    = 64      // brackets, parentheses, projections and operators' right sides within each other
	MaxResult     = 1 << 20 // bytes of a result; a Kubernetes Secret holds no more

	// maxCost is what one extraction may spend: a unit is a step, 16 bytes made or 16 bytes looked at.
	// The worst that BenchmarkHostile knows takes 130 ms and makes 50 MB, garbage included. What makes
	// sense stays below half of it, even on 64 KiB, the largest secret there is.
	maxCost = 1 << 19
)

// What can go wrong with an extraction. None of them, and nothing that wraps them, holds a value.
var (
	// ErrNotJSON: the value is not exactly one JSON value in UTF-8, or nests deeper than the
	// 10,000 levels of encoding/json.
	ErrNotJSON = errors.New("the value is not JSON")
	// ErrNoResult: the expression yields null.
	ErrNoResult = errors.New("the expression selects nothing: what it names is missing or null")
	// ErrResultTooLarge: the result, or a text made by to_string, exceeds MaxResult.
	ErrResultTooLarge = errors.New("the expression yields more than 1 MiB")
	// ErrEvaluation: a function was given what it does not take, or the expression asks for too much work.
	ErrEvaluation = errors.New("the expression fails on this value")

	errTooCostly = fmt.Errorf("%w: it takes more work than is allowed for one expression", ErrEvaluation)
)

// Expression is a compiled expression. It is safe for concurrent use.
type Expression struct{ root *node }

// Compile parses text. Function names, the number of their arguments and the place of `&` are
// checked here, so that only values can make an expression fail later.
//
// Errors are one line and tell of the expression only; positions count characters from 1.
func Compile(text string) (*Expression, error) {
	if len(text) > MaxExpression {
		return nil, fmt.Errorf("the expression is longer than %d bytes", MaxExpression)
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("the expression is not valid UTF-8")
	}
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	return &Expression{root}, nil
}

// Document is a JSON value, parsed once for all expressions. It is never changed, hence safe for
// concurrent use. However it is printed, logged or marshalled to JSON, it shows as [redacted].
type Document struct{ value any }

// Parse reads exactly one JSON value. Of equal keys in one object the last wins, as in encoding/json.
// The error is always ErrNotJSON, without the reason: encoding/json quotes what it stumbles over.
func Parse(value []byte) (*Document, error) {
	if !utf8.Valid(value) { // encoding/json would silently put U+FFFD into the secret
		return nil, ErrNotJSON
	}
	v, err := decode(value)
	if err != nil {
		return nil, ErrNotJSON
	}
	return &Document{v}, nil
}

// Format prints [redacted] for every verb.
func (Document) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[redacted]") }

// LogValue logs [redacted].
func (Document) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Extract returns what e selects in d, as the content of a file: a string as its bytes, anything else
// as compact JSON with the keys of objects in byte order, nothing escaped that need not be,
// and numbers as they stand in d. Equal documents give equal bytes.
func (e *Expression) Extract(d *Document) ([]byte, error) {
	return e.extract(d, &evaluation{budget: maxCost})
}

// Budget bounds what the extractions for one volume may cost together, their results included: four times
// what one may. It is not safe for concurrent use.
type Budget struct{ left int }

// NewBudget is a Budget of which nothing is spent.
func NewBudget() *Budget { return &Budget{left: 4 * maxCost} }

// Extract is e.Extract(d), paid from b.
func (b *Budget) Extract(e *Expression, d *Document) ([]byte, error) {
	run := &evaluation{budget: min(maxCost, b.left)}
	granted := run.budget
	content, err := e.extract(d, run)
	b.left -= granted - max(run.budget, 0) + bytes16(len(content))
	return content, err
}

func (e *Expression) extract(d *Document, run *evaluation) ([]byte, error) {
	result, err := run.eval(e.root, d.value)
	switch text, isString := result.(string); {
	case err != nil:
		return nil, err
	case result == nil && run.swallowed != nil:
		return nil, run.swallowed
	case result == nil:
		return nil, ErrNoResult
	case isString && len(text) > MaxResult:
		return nil, ErrResultTooLarge
	case isString:
		return []byte(text), nil
	}
	w := newWriter(false)
	if err := w.value(result); err != nil {
		return nil, err
	}
	return w.Bytes(), nil
}

// MarshalText marshals to [redacted].
func (Document) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// decode parses one JSON value into nil, bool, json.Number, string, []any and map[string]any:
// all the values an evaluation knows.
func decode(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("data after the value")
	}
	return v, nil
}
