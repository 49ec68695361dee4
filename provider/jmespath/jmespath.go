// Package jmespath extracts a part of a JSON secret with a JMESPath expression, safely for untrusted input.
//
// The language is that of https://jmespath.org/specification.html as jmespath/go-jmespath v0.4.0 implements it, the
// library of AWS's own provider. Its compliance suite passes here, and a test compares the results of generated
// expressions. The package has its own parser and evaluator because expressions come from pod authors, one process
// serves a whole node, and no library is safe for that:
//
//   - jmespath/go-jmespath panics on a\u0080, merge('x'), @(a), [1:2:9223372036854775807] and
//     contains([[`1`]], [`1`]). It overflows the stack on 500,000 × "!". It does not export its syntax tree, so
//     a caller cannot limit an expression before it runs.
//   - jmespath-community/go-jmespath exports the tree, but panics on the first and the last two as well. It reads
//     raw strings and literals differently, and extends the language (let, $, arithmetic).
//   - Both compute with float64, which changes 12345678901234567890, and both print argument values, and so secrets,
//     in their errors.
//
// This package counts the cost while an expression runs. It keeps numbers as text (json.Number) and compares and adds
// them as decimals. No error contains a value.
//
// Differences of go-jmespath: it returns keys, values and `*` in random order. It evaluates the right side of `*` on
// null once for each value too many. sort_by changes the document. avg of an empty list is NaN. It reports a wrong
// function, argument count, `&` or slice step only when it evaluates it.
package jmespath

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"unicode/utf8"
)

// Limits for expressions of pod authors.
const (
	MaxExpression = 4096    // bytes of an expression
	MaxNesting    = 64      // nested brackets, parentheses, projections and right sides of operators
	MaxResult     = 1 << 20 // bytes of a result; the limit of a Kubernetes Secret

	// maxCost limits one extraction. A unit is one step, or 16 bytes created or read. The worst expression of
	// BenchmarkHostile takes 130 ms and allocates 50 MB, with garbage. Realistic expressions cost less than half,
	// even on 64 KiB, the largest secret.
	maxCost = 1 << 19
)

// Errors of an extraction. Neither they nor the errors that wrap them contain a value.
var (
	// ErrNotJSON: the value is not exactly one JSON value in UTF-8, or is nested deeper than the
	// 10,000 levels of encoding/json.
	ErrNotJSON = errors.New("the value is not JSON")
	// ErrNoResult: the result is null.
	ErrNoResult = errors.New("the expression selects nothing: the key is missing or its value is null")
	// ErrResultTooLarge: the result, or the result of a to_string in it, exceeds MaxResult.
	ErrResultTooLarge = errors.New("the result of the expression is larger than 1 MiB")
	// ErrEvaluation: an argument has the wrong type, or the expression needs too much work.
	ErrEvaluation = errors.New("the expression fails on this value")

	errTooCostly = fmt.Errorf("%w: it needs more work than one expression may use", ErrEvaluation)
)

// Expression is a compiled expression. It is safe for concurrent use.
type Expression struct{ root *node }

// Compile parses text. It also checks function names, argument counts and the position of `&`, so that a compiled
// expression can fail only because of a value.
//
// Errors are one line and contain only parts of the expression. Positions count characters from 1.
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

// Constant reports whether the expression reads nothing of a value, so that every value gives the same result. text is
// the result if the expression is one literal string, and empty otherwise. Constant does not evaluate the expression.
func (e *Expression) Constant() (text string, constant bool) {
	if e.root.op == opLiteral {
		text, _ = e.root.value.(string)
	}
	return text, e.root.constant()
}

// constant is true if the current value has no effect on n.
func (n *node) constant() bool {
	kids := n.kids
	switch n.op {
	case opLiteral:
		return true
	case opCurrent, opField, opIndex, opSlice, opReference:
		return false
	case opThen: // the right side sees only the result of the left
		return kids[0].constant() || kids[1].constant()
	case opProject, opProjectMap, opFilter, opFlatten:
		return kids[0].constant()
	default:
		return !slices.ContainsFunc(kids, func(kid *node) bool { return !kid.constant() })
	}
}

// Document is a JSON value, parsed once for all expressions. It never changes, so it is safe for concurrent use.
// Printing, logging and JSON marshalling give [redacted].
type Document struct{ value any }

// Parse parses exactly one JSON value. If a key repeats in an object, the last value wins, as in encoding/json.
// The error is always ErrNotJSON without a reason, because errors of encoding/json quote the value.
func Parse(value []byte) (*Document, error) {
	if !utf8.Valid(value) { // encoding/json would write U+FFFD into the secret without an error
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

// Extract returns the content of a file: the bytes of a string, and any other value as compact JSON, with the keys
// of objects in byte order, only the necessary escapes, and numbers as written in d. Equal documents give equal bytes.
func (e *Expression) Extract(d *Document) ([]byte, error) {
	return e.extract(d, &evaluation{budget: maxCost})
}

// Budget limits the total cost of the extractions of one volume, with their results, to four times the limit of one.
// It is not safe for concurrent use.
type Budget struct{ left int }

// NewBudget returns a full Budget.
func NewBudget() *Budget { return &Budget{left: 4 * maxCost} }

// Extract is e.Extract(d) at the cost of b.
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

// MarshalText returns [redacted].
func (Document) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// decode parses one JSON value into nil, bool, json.Number, string, []any and map[string]any, the types that an
// evaluation supports.
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
