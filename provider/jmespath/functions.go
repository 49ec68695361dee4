package jmespath

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// kinds is a set of argument types.
type kinds int

const (
	isNumber kinds = 1 << iota
	isString
	isArray
	isObject
	isNumbers   // an array of numbers only
	isStrings   // an array of strings only
	isReference // &expression; never combined with other kinds
	isAny
)

// names for messages, in the order of the constants.
var kindNames = []string{"a number", "a string", "an array", "an object", "an array of numbers", "an array of strings"}

// function is a JMESPath function.
type function struct {
	arguments []kinds
	variadic  bool // the last argument can repeat
	call      func(e *evaluation, args []any) (any, error)
}

// takes returns the types that argument i can have.
func (f *function) takes(i int) kinds {
	if i >= len(f.arguments) {
		if !f.variadic {
			return 0
		}
		i = len(f.arguments) - 1
	}
	return f.arguments[i]
}

// functions are the 26 functions of the 2015 specification. AWS's provider has no others.
var functions = map[string]*function{
	"abs":         {call: abs, arguments: []kinds{isNumber}},
	"avg":         {call: avg, arguments: []kinds{isNumbers}},
	"ceil":        {call: ceil, arguments: []kinds{isNumber}},
	"contains":    {call: contains, arguments: []kinds{isArray | isString, isAny}},
	"ends_with":   {call: endsWith, arguments: []kinds{isString, isString}},
	"floor":       {call: floor, arguments: []kinds{isNumber}},
	"join":        {call: join, arguments: []kinds{isString, isStrings}},
	"keys":        {call: keys, arguments: []kinds{isObject}},
	"length":      {call: length, arguments: []kinds{isString | isArray | isObject}},
	"map":         {call: mapList, arguments: []kinds{isReference, isArray}},
	"max":         {call: extreme(1), arguments: []kinds{isNumbers | isStrings}},
	"max_by":      {call: extreme(1), arguments: []kinds{isArray, isReference}},
	"merge":       {call: merge, arguments: []kinds{isObject}, variadic: true},
	"min":         {call: extreme(-1), arguments: []kinds{isNumbers | isStrings}},
	"min_by":      {call: extreme(-1), arguments: []kinds{isArray, isReference}},
	"not_null":    {call: notNull, arguments: []kinds{isAny}, variadic: true},
	"reverse":     {call: reverse, arguments: []kinds{isArray | isString}},
	"sort":        {call: sortList, arguments: []kinds{isNumbers | isStrings}},
	"sort_by":     {call: sortList, arguments: []kinds{isArray, isReference}},
	"starts_with": {call: startsWith, arguments: []kinds{isString, isString}},
	"sum":         {call: sum, arguments: []kinds{isNumbers}},
	"to_array":    {call: toArray, arguments: []kinds{isAny}},
	"to_number":   {call: toNumber, arguments: []kinds{isAny}},
	"to_string":   {call: toString, arguments: []kinds{isAny}},
	"type":        {call: typeName, arguments: []kinds{isAny}},
	"values":      {call: values, arguments: []kinds{isObject}},
}

// call evaluates the arguments, checks their types and calls the function.
func (e *evaluation) call(n *node, v any) (any, error) {
	args := make([]any, len(n.kids))
	for i, kid := range n.kids {
		arg, err := e.eval(kid, v)
		if err != nil {
			return nil, err
		}
		want := n.function.takes(i)
		is, err := e.kindsOf(arg, want)
		if err != nil {
			return nil, err
		}
		if is&want == 0 {
			return nil, fmt.Errorf("%w: argument %d of %s must be %s, not %s", ErrEvaluation, i+1, n.name, want, describe(arg, want))
		}
		args[i] = arg
	}
	return n.function.call(e, args)
}

// kindsOf returns all kinds of v. It inspects the elements of an array only if wanted needs that.
func (e *evaluation) kindsOf(v any, want kinds) (kinds, error) {
	switch v := v.(type) {
	case json.Number:
		return isAny | isNumber, nil
	case string:
		return isAny | isString, nil
	case map[string]any:
		return isAny | isObject, nil
	case *node:
		return isReference, nil
	case []any:
		is := isAny | isArray
		if want&(isNumbers|isStrings) == 0 {
			return is, nil
		}
		numbers, strings := isNumbers, isStrings
		for _, element := range v {
			if _, ok := element.(json.Number); !ok {
				numbers = 0
			}
			if _, ok := element.(string); !ok {
				strings = 0
			}
		}
		return is | numbers | strings, e.charge(1 + len(v))
	}
	return isAny, nil
}

// as converts v to T. call has checked the type of every argument.
func as[T any](v any) T {
	t, _ := v.(T)
	return t
}

func (k kinds) String() string {
	var names []string
	for i, name := range kindNames {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}

// describe names the type of v for a message, never its value.
func describe(v any, want kinds) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		if want&(isNumbers|isStrings) != 0 {
			return "an array of something else"
		}
		return "an array"
	default:
		return "an object"
	}
}

func contains(e *evaluation, args []any) (any, error) {
	list, ok := args[0].([]any)
	if !ok {
		text := as[string](args[0])
		part, ok := args[1].(string)
		return ok && strings.Contains(text, part), e.charge(bytes16(len(text)))
	}
	for _, element := range list {
		if same, err := e.equal(element, args[1]); same || err != nil {
			return same, err
		}
	}
	return false, nil
}

func startsWith(e *evaluation, args []any) (any, error) {
	part := as[string](args[1])
	return strings.HasPrefix(as[string](args[0]), part), e.charge(bytes16(len(part)))
}

func endsWith(e *evaluation, args []any) (any, error) {
	part := as[string](args[1])
	return strings.HasSuffix(as[string](args[0]), part), e.charge(bytes16(len(part)))
}

func join(e *evaluation, args []any) (any, error) {
	separator, list := as[string](args[0]), as[[]any](args[1])
	size := 0
	for i, element := range list {
		if i > 0 {
			size += len(separator)
		}
		size += len(as[string](element))
	}
	if err := e.charge(len(list) + bytes16(size)); err != nil {
		return nil, err
	}
	var text strings.Builder
	text.Grow(size)
	for i, element := range list {
		if i > 0 {
			text.WriteString(separator)
		}
		text.WriteString(as[string](element))
	}
	return text.String(), nil
}

func keys(e *evaluation, args []any) (any, error) {
	names, err := e.keys(as[map[string]any](args[0]))
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = name
	}
	return list, err
}

func values(e *evaluation, args []any) (any, error) {
	return e.values(as[map[string]any](args[0]))
}

func length(e *evaluation, args []any) (any, error) {
	n := 0
	switch v := args[0].(type) {
	case string:
		if err := e.charge(bytes16(len(v))); err != nil {
			return nil, err
		}
		n = utf8.RuneCountInString(v)
	case []any:
		n = len(v)
	case map[string]any:
		n = len(v)
	}
	return json.Number(fmt.Sprint(n)), nil
}

func mapList(e *evaluation, args []any) (any, error) {
	return e.each(as[*node](args[0]), as[[]any](args[1]))
}

// each evaluates n on every element. Unlike a projection it keeps null.
func (e *evaluation) each(n *node, list []any) ([]any, error) {
	results := make([]any, len(list))
	for i, element := range list {
		var err error
		if results[i], err = e.eval(n, element); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func merge(e *evaluation, args []any) (any, error) {
	size := 0
	for _, arg := range args {
		size += len(as[map[string]any](arg))
	}
	if err := e.charge(objectCost + entryCost*size); err != nil {
		return nil, err
	}
	merged := make(map[string]any)
	for _, arg := range args {
		maps.Copy(merged, as[map[string]any](arg))
	}
	return merged, nil
}

func notNull(_ *evaluation, args []any) (any, error) {
	for _, arg := range args {
		if arg != nil {
			return arg, nil
		}
	}
	return nil, nil
}

func reverse(e *evaluation, args []any) (any, error) {
	if text, ok := args[0].(string); ok {
		if err := e.charge(bytes16(6 * len(text))); err != nil {
			return nil, err
		}
		runes := []rune(text)
		slices.Reverse(runes)
		return string(runes), nil
	}
	list := as[[]any](args[0])
	if err := e.charge(len(list)); err != nil {
		return nil, err
	}
	list = slices.Clone(list)
	slices.Reverse(list)
	return list, nil
}

func toArray(_ *evaluation, args []any) (any, error) {
	if list, ok := args[0].([]any); ok {
		return list, nil
	}
	return args, nil
}

func typeName(_ *evaluation, args []any) (any, error) {
	switch args[0].(type) {
	case nil:
		return "null", nil
	case bool:
		return "boolean", nil
	case json.Number:
		return "number", nil
	case string:
		return "string", nil
	case []any:
		return "array", nil
	}
	return "object", nil
}
