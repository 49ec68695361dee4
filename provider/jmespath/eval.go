package jmespath

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// evaluation is one run of an expression. Input and results share values, and nothing changes them. So
// `[@,@] | [@,@] | …` builds a value of exponential size in linear memory, and each function that walks a whole
// value (equal, writer) needs its own limit.
type evaluation struct {
	budget    int
	swallowed error // the first error that go-jmespath converts to null
}

// charge takes the units of the next work from the budget.
func (e *evaluation) charge(units int) error {
	if e.budget -= units; e.budget < 0 {
		return errTooCostly
	}
	return nil
}

// bytes16 is the cost of creating or reading n bytes.
func bytes16(n int) int { return 1 + n/16 }

// Costs of an object: an empty one needs about 300 bytes, and each entry about 60.
const (
	objectCost = 16
	entryCost  = 4
)

func (e *evaluation) eval(n *node, v any) (any, error) {
	if err := e.charge(bytes16(len(n.name))); err != nil {
		return nil, err
	}
	switch n.op {
	case opCurrent:
		return v, nil
	case opLiteral:
		return n.value, nil
	case opReference:
		return n.kids[0], nil
	case opField:
		object, _ := v.(map[string]any)
		return object[n.name], nil
	case opIndex:
		list, _ := v.([]any)
		i := n.index
		if i < 0 {
			i += len(list)
		}
		if i < 0 || i >= len(list) {
			return nil, nil
		}
		return list[i], nil
	case opSlice:
		return e.slice(n.slice, v)
	case opList, opObject:
		return e.build(n, v)
	case opCall:
		return e.call(n, v)
	}

	left, err := e.eval(n.kids[0], v)
	if err != nil {
		// go-jmespath converts an error on the left of these to null, so `sum(x)[] || 'none'` works.
		lenient := n.op == opFilter || n.op == opFlatten || n.op == opProjectMap
		if !lenient || !errors.Is(err, ErrEvaluation) || errors.Is(err, errTooCostly) {
			return nil, err
		}
		if e.swallowed == nil {
			e.swallowed = err
		}
		left = nil
	}
	switch n.op {
	case opThen:
		return e.eval(n.kids[1], left)
	case opOr, opAnd:
		if truthy(left) == (n.op == opOr) {
			return left, nil
		}
		return e.eval(n.kids[1], v)
	case opNot:
		return !truthy(left), nil
	case opCompare:
		right, err := e.eval(n.kids[1], v)
		if err != nil {
			return nil, err
		}
		return e.compare(n.name, left, right)
	case opFlatten:
		return e.flatten(left)
	case opProjectMap:
		object, ok := left.(map[string]any)
		if !ok {
			return nil, nil
		}
		values, err := e.values(object)
		if err != nil {
			return nil, err
		}
		return e.project(n, values)
	default: // opProject, opFilter
		list, ok := left.([]any)
		if !ok {
			return nil, nil
		}
		return e.project(n, list)
	}
}

// truthy is false for false, null and empty values. Every number is true.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// project evaluates n's right side on the elements of list that pass its filter, and drops null results.
func (e *evaluation) project(n *node, list []any) (any, error) {
	result := make([]any, 0, len(list))
	for _, element := range list {
		if n.op == opFilter {
			holds, err := e.eval(n.kids[2], element)
			if err != nil {
				return nil, err
			}
			if !truthy(holds) {
				continue
			}
		}
		v, err := e.eval(n.kids[1], element)
		if err != nil {
			return nil, err
		}
		if v != nil {
			result = append(result, v)
		}
	}
	return result, nil
}

func (e *evaluation) flatten(v any) (any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, nil
	}
	size := 0
	for _, element := range list {
		if inner, ok := element.([]any); ok {
			size += len(inner)
		} else {
			size++
		}
	}
	if err := e.charge(len(list) + size); err != nil {
		return nil, err
	}
	result := make([]any, 0, size)
	for _, element := range list {
		if inner, ok := element.([]any); ok {
			result = append(result, inner...)
		} else {
			result = append(result, element)
		}
	}
	return result, nil
}

// slice works like a slice in Python.
func (e *evaluation) slice(parts [3]*int, v any) (any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, nil
	}
	step := 1
	if parts[2] != nil {
		// A step longer than the list selects one element. Limiting it prevents an overflow.
		step = min(max(*parts[2], -len(list)-1), len(list)+1)
	}
	first, last := 0, len(list) // limits of the indexes
	if step < 0 {
		first, last = -1, len(list)-1
	}
	bound := func(part *int, left int) int {
		if part == nil {
			return left
		}
		i := *part
		if i < 0 {
			i += len(list)
		}
		return min(max(i, first), last)
	}
	start, stop := bound(parts[0], first), bound(parts[1], last)
	if step < 0 {
		start, stop = bound(parts[0], last), bound(parts[1], first)
	}
	if err := e.charge(len(list)); err != nil {
		return nil, err
	}
	result := make([]any, 0, len(list)/max(step, -step)+1)
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		result = append(result, list[i])
	}
	return result, nil
}

// build evaluates a multi-select to its list or object. On null the result is null.
func (e *evaluation) build(n *node, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	if n.op == opObject {
		if err := e.charge(objectCost + entryCost*len(n.kids)); err != nil {
			return nil, err
		}
	}
	results := make([]any, len(n.kids))
	for i, kid := range n.kids {
		var err error
		if results[i], err = e.eval(kid, v); err != nil {
			return nil, err
		}
	}
	if n.op == opList {
		return results, nil
	}
	object := make(map[string]any, len(results))
	for i, result := range results {
		object[n.keys[i]] = result
	}
	return object, nil
}

// compare evaluates a comparison. An order exists only between numbers. For other values the result is null.
func (e *evaluation) compare(operator string, left, right any) (any, error) {
	if operator == "==" || operator == "!=" {
		same, err := e.equal(left, right)
		return same == (operator == "=="), err
	}
	a, ok := left.(json.Number)
	b, ok2 := right.(json.Number)
	if !ok || !ok2 {
		return nil, nil
	}
	c, err := e.compareNumbers(a, b)
	if err != nil {
		return nil, err
	}
	switch operator {
	case "<":
		return c < 0, nil
	case "<=":
		return c <= 0, nil
	case ">":
		return c > 0, nil
	default:
		return c >= 0, nil
	}
}

func (e *evaluation) equal(left, right any) (bool, error) {
	if err := e.charge(1); err != nil {
		return false, err
	}
	switch a := left.(type) {
	case string:
		b, ok := right.(string)
		if !ok || len(a) != len(b) {
			return false, nil
		}
		return a == b, e.charge(bytes16(len(a)))
	case json.Number:
		b, ok := right.(json.Number)
		if !ok {
			return false, nil
		}
		c, err := e.compareNumbers(a, b)
		return err == nil && c == 0, err
	case []any:
		b, ok := right.([]any)
		if !ok || len(a) != len(b) {
			return false, nil
		}
		for i := range a {
			if same, err := e.equal(a[i], b[i]); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	case map[string]any:
		b, ok := right.(map[string]any)
		if !ok || len(a) != len(b) {
			return false, nil
		}
		// In the order of keys, so that the cost of a comparison does not vary.
		keys, err := e.keys(a)
		if err != nil {
			return false, err
		}
		for _, key := range keys {
			other, ok := b[key]
			if !ok {
				return false, nil
			}
			if same, err := e.equal(a[key], other); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	}
	// null and booleans. The other side may be a list, on which == would panic.
	switch right.(type) {
	case nil, bool:
		return left == right, nil
	}
	return false, nil
}

// keys are in byte order, because a Go map has no order and the file must not change with every run.
func (e *evaluation) keys(object map[string]any) ([]string, error) {
	if err := e.charge(1 + entryCost*len(object)); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(object)), nil
}

// values are in the order of the keys.
func (e *evaluation) values(object map[string]any) ([]any, error) {
	keys, err := e.keys(object)
	values := make([]any, 0, len(keys))
	for _, key := range keys {
		values = append(values, object[key])
	}
	return values, err
}
