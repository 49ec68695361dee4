package main

import "context"

// scenario is one row of docs/benchmarks.md. It gives what it has measured, with an error too.
type scenario struct {
	name    string
	measure func(context.Context, *lab) ([]measurement, error)
}

// scenarios in the order of docs/benchmarks.md. Each runs in a world of its own, with new processes.
var scenarios = []scenario{
	{"idle", measureIdle},
	{"cold1", func(ctx context.Context, l *lab) ([]measurement, error) { return measureCold(ctx, l, 1) }},
	{"cold20", func(ctx context.Context, l *lab) ([]measurement, error) { return measureCold(ctx, l, 20) }},
	{"warm", measureWarm},
	{"boot", measureBoot},
	{"sweep", measureSweep},
	{"rotate", measureRotate},
	{"saturate", measureSaturate},
	{"outage", measureOutage},
	{"blackhole", measureBlackHole},
	{"scale", measureScale},
}

func names(all []scenario) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = s.name
	}
	return out
}

// measurement is one figure of a scenario.
type measurement struct {
	What  string  // names it among the scenario's
	Value float64 // in Unit
	Unit  string  // ms, MiB, /s, x; empty for a count
	Floor float64 // what the bare calls took, in Unit; 0 where that says nothing
	Fault string  // what was to happen and did not; empty where all did
	Note  string  // what a reader has to know
}
