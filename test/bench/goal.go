package main

import "fmt"

// rivalName is the title of the column with AWS's provider. Its figures come from the same scenarios on a 2-core machine, with
// driver-written files and --qps and --burst raised to 1000. Absolute times of two machines are not comparable. Ratios and counts are.
const rivalName = "AWS's 3.1.1"

// expectation is what a figure is compared with.
type expectation struct {
	rival string // figure of AWS's provider; empty if not measured
	goal  goal
}

// goal limits a figure. The zero value sets no limit.
type goal struct {
	kind  goalKind
	bound float64
}

type goalKind int

const (
	atMost     goalKind = iota + 1 // Value ≤ bound
	atLeast                        // Value ≥ bound
	timesFloor                     // Value ≤ bound × Floor
)

// expectations holds scenario → measurement → expectation.
var expectations = map[string]map[string]expectation{
	"idle": {
		"time to serve": {"68 ms", goal{atMost, 50}},
		"RSS":           {"30 MiB", goal{atMost, 20}},
		"binary":        {"45.5 MiB", goal{atMost, 25}},
	},
	"cold1":  {"time": {"80 ms", goal{timesFloor, 1.5}}},
	"cold20": {"time": {"452 ms", goal{timesFloor, 1.5}}},
	"warm": {
		"time":      {"449 ms", goal{timesFloor, 1.5}},
		"STS calls": {"1", goal{atMost, 0}},
	},
	"boot": {
		"time":        {"459 ms", goal{atMost, 200}},
		"STS calls":   {"100", goal{atMost, 10}},
		"reads":       {"1000", goal{atMost, 100}},
		"connections": {"200", goal{atMost, 40}},
		"peak RSS":    {"63 MiB", goal{atMost, 45}},
	},
	"sweep": {
		"STS calls": {"300", goal{atMost, 0}},
		"reads":     {"3000", goal{atMost, 0}},
		"CPU":       {"1660 ms", goal{atMost, 150}},
	},
	"rotate": {
		"republish sees it after":   {"at once", goal{atMost, 1.1 * rotateInterval.Seconds() * 1000}},
		"first mount sees it after": {"at once", goal{timesFloor, 1.5}},
	},
	"saturate": {
		"mounts":        {"327 /s", goal{atLeast, 4 * 327}},
		"CPU per mount": {"3.0 ms", goal{atMost, 1}},
		"peak RSS":      {"242 MiB", goal{atMost, 64}},
		"sockets":       {"4800", goal{atMost, 64}},
	},
	"outage": {
		"known pod republished": {"fails after 12.6 s", goal{atMost, 10_000}},
		"new pod mounted":       {"fails after 12.6 s", goal{atMost, 10_000}},
		"new identity refused":  {"fails after 12.6 s", goal{atMost, 10_000}},
	},
	"blackhole": {
		"response":             {"hangs to the deadline", goal{atMost, kubeletTimeout.Seconds() * 1000}},
		"with failover region": {"hangs to the deadline", goal{atMost, 7000}},
	},
	"scale": {
		"peak RSS":          {"", goal{atMost, cacheMiB + 40}},
		"last/first 300":    {"", goal{atMost, 1.25}},
		"CPU per mount":     {"", goal{}},
		"time per identity": {"", goal{}},
	},
	"noisy": {
		"neighbour's max": {"52 ms", goal{timesFloor, 2}},
		"failed mounts":   {"0", goal{atMost, 0}},
		"tenant's mounts": {"", goal{atMost, 0}},
	},
	"fair": {
		"neighbour's max":        {"611 ms", goal{atMost, 1.1 * 2 * fairDelay.Seconds() * 1000}},
		"failed mounts":          {"", goal{atMost, 0}},
		"tenant's failed mounts": {"", goal{atMost, 0}},
	},
	"flood": {
		"refused":           {"", goal{atLeast, floodPods}},
		"mounted":           {"", goal{atLeast, floodPods}},
		"peak RSS refusing": {"", goal{atMost, 100}},
		"peak RSS":          {"", goal{atMost, 100}},
	},
	"storm": {
		"time":              {"42.6 s", goal{timesFloor, 1.4}},
		"failed mounts":     {"1098", goal{atMost, 0}},
		"STS calls granted": {"", goal{atMost, stormSTS}},
		"reads granted":     {"", goal{atMost, stormReads}},
	},
}

// met reports whether m has no fault and reaches g.
func (g goal) met(m measurement) bool {
	switch g.kind {
	case atLeast:
		return m.Fault == "" && m.Value >= g.bound
	case timesFloor:
		return m.Fault == "" && m.Value <= g.bound*m.Floor
	case atMost:
		return m.Fault == "" && m.Value <= g.bound
	default:
		return m.Fault == ""
	}
}

// text formats g in the unit of the figure.
func (g goal) text(unit string) string {
	switch g.kind {
	case atLeast:
		return "≥ " + quantity(g.bound, unit)
	case timesFloor:
		return fmt.Sprintf("≤ %g × floor", g.bound)
	case atMost:
		return "≤ " + quantity(g.bound, unit)
	default:
		return "–"
	}
}
