package main

import (
	"slices"
	"time"
)

// sample holds repeated measurements of one quantity, usually in milliseconds.
type sample []float64

func (s *sample) add(d time.Duration) { *s = append(*s, millis(d)) }

// median is the reported figure, because one disturbed repetition does not move it.
func (s sample) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// most returns the largest value, 0 for an empty sample.
func (s sample) most() float64 {
	if len(s) == 0 {
		return 0
	}
	return slices.Max(s)
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
