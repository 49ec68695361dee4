package main

import "context"

// scenario is one situation to measure. measure may return results together with an error.
type scenario struct {
	name    string
	measure func(context.Context, *lab) ([]measurement, error)
}

// scenarios lists all scenarios in report order. Each runs in its own world, with new processes.
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
	{"noisy", measureNoisy},
	{"fair", measureFair},
	{"flood", measureFlood},
	{"storm", measureStorm},
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
	What  string  // unique in the scenario
	Value float64 // in Unit
	Unit  string  // ms, s, MiB, /s, x; empty for a count
	Floor float64 // figure of the bare client, in Unit; 0 if there is none
	Fault string  // what went wrong; empty if nothing did
	Note  string  // for the reader of the report
}
