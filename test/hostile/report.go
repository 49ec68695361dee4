package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// stage is how far a request came, in the order of the path.
type stage int

const (
	atWire        stage = iota // gRPC refused it: no handler was called, or the connection was closed
	atDecode                   // the request cannot be read
	atClass                    // the SecretProviderClass is wrong
	atIdentity                 // no usable token, ServiceAccount or role
	atCredentials              // STS refuses
	atFetch                    // AWS refuses the read
	atContent                  // the value cannot be used as asked
	mounted
	atVersion // Version answered
	stages
)

var stageNames = [stages]string{
	atWire: "refused on the wire", atDecode: "refused at decode", atClass: "refused at class", atIdentity: "refused at identity",
	atCredentials: "refused by STS", atFetch: "refused at fetch", atContent: "refused at content", mounted: "mounted", atVersion: "version answered",
}

// maxListed violations and slow requests are spelled out.
const (
	maxListed = 20
	maxSlow   = 5
)

// outcome is what came of one request.
type outcome struct {
	number int
	kind   string
	stage  stage
	code   string
	took   time.Duration
}

// report gathers what a run shows. Its methods may be called concurrently.
type report struct {
	mu         sync.Mutex
	done       int
	byStage    [stages]int
	byKind     map[string]*[stages]int
	byCode     map[string]int
	slow       []outcome // the slowest, the slowest first
	violations int
	listed     []string
	figures    []string
}

func newReport() *report { return &report{byKind: map[string]*[stages]int{}, byCode: map[string]int{}} }

func (r *report) add(o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	r.byStage[o.stage]++
	if r.byKind[o.kind] == nil {
		r.byKind[o.kind] = new([stages]int)
	}
	r.byKind[o.kind][o.stage]++
	r.byCode[o.code]++
	if len(r.slow) < maxSlow || o.took > r.slow[len(r.slow)-1].took {
		r.slow = append(r.slow, o)
		slices.SortFunc(r.slow, func(a, b outcome) int { return cmp.Compare(b.took, a.took) })
		r.slow = r.slow[:min(len(r.slow), maxSlow)]
	}
}

// violate notes that a rule does not hold.
func (r *report) violate(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations++
	if len(r.listed) < maxListed {
		r.listed = append(r.listed, fmt.Sprintf(format, args...))
	}
}

// figure notes something measured.
func (r *report) figure(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.figures = append(r.figures, fmt.Sprintf(format, args...))
}

func (r *report) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

// reached is how many requests came to a stage.
func (r *report) reached(s stage) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byStage[s]
}

func (r *report) print(out io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kinds := slices.Sorted(maps.Keys(r.byKind))
	fmt.Fprintf(out, "%-20s %10s", "stage", "all")
	for _, kind := range kinds {
		fmt.Fprintf(out, " %10s", kind)
	}
	fmt.Fprintln(out)
	for s, name := range stageNames {
		fmt.Fprintf(out, "%-20s %10d", name, r.byStage[s])
		for _, kind := range kinds {
			fmt.Fprintf(out, " %10d", r.byKind[kind][s])
		}
		fmt.Fprintln(out)
	}
	codes := make([]string, 0, len(r.byCode))
	for _, code := range slices.Sorted(maps.Keys(r.byCode)) {
		codes = append(codes, fmt.Sprintf("%s %d", code, r.byCode[code]))
	}
	fmt.Fprintln(out, "codes:", strings.Join(codes, ", "))
	for _, o := range r.slow {
		fmt.Fprintf(out, "slow: request %d (%s) %s, %s\n", o.number, o.kind, o.took.Round(time.Millisecond), stageNames[o.stage])
	}
	for _, figure := range r.figures {
		fmt.Fprintln(out, figure)
	}
	for _, violation := range r.listed {
		fmt.Fprintln(out, "VIOLATION:", violation)
	}
	fmt.Fprintf(out, "%d requests, %d violations\n", r.done, r.violations)
}
