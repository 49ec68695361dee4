package jmespath

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// sortKeys are the keys to sort list by: its elements, or the results of the &expression argument on them.
func (e *evaluation) sortKeys(args []any) ([]any, error) {
	list := as[[]any](args[0])
	if len(args) == 1 {
		return list, nil
	}
	return e.each(as[*node](args[1]), list)
}

// sortList implements sort and sort_by. Both are stable. sort_by does not evaluate the key of a single element.
func sortList(e *evaluation, args []any) (any, error) {
	list := as[[]any](args[0])
	if len(list) < 2 {
		return list, nil
	}
	sortKeys, err := e.sortKeys(args)
	if err != nil {
		return nil, err
	}
	order, err := e.orderOf(sortKeys)
	if err != nil {
		return nil, err
	}
	places := make([]int, len(list))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, order)
	sorted := make([]any, len(list))
	for i, place := range places {
		sorted[i] = list[place]
	}
	return sorted, nil
}

// extreme implements max and max_by (sign 1), and min and min_by (sign -1). The result is the first of equal elements,
// or null for an empty list.
func extreme(sign int) func(*evaluation, []any) (any, error) {
	return func(e *evaluation, args []any) (any, error) {
		list := as[[]any](args[0])
		switch len(list) {
		case 0:
			return nil, nil
		case 1:
			return list[0], nil
		}
		sortKeys, err := e.sortKeys(args)
		if err != nil {
			return nil, err
		}
		order, err := e.orderOf(sortKeys)
		if err != nil {
			return nil, err
		}
		best := 0
		for i := range list {
			if sign*order(i, best) > 0 {
				best = i
			}
		}
		return list[best], nil
	}
}

var errKeys = fmt.Errorf("%w: the keys for max_by, min_by and sort_by must be all numbers or all strings", ErrEvaluation)

// orderOf returns a function that compares two keys by index, and charges for the sort.
func (e *evaluation) orderOf(sortKeys []any) (func(i, j int) int, error) {
	rounds := bits.Len(uint(len(sortKeys)))
	var numbers []decimal
	var texts []string
	for _, key := range sortKeys {
		switch key := key.(type) {
		case json.Number:
			if err := e.charge(rounds * bytes16(len(key))); err != nil {
				return nil, err
			}
			n, err := parseDecimal(key)
			if err != nil {
				return nil, err
			}
			numbers = append(numbers, n)
		case string:
			if err := e.charge(rounds * bytes16(len(key))); err != nil {
				return nil, err
			}
			texts = append(texts, key)
		}
	}
	switch len(sortKeys) {
	case len(numbers):
		return func(i, j int) int { return numbers[i].compare(numbers[j]) }, nil
	case len(texts):
		return func(i, j int) int { return strings.Compare(texts[i], texts[j]) }, nil
	}
	return nil, errKeys
}
