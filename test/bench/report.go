package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// report collects all results, for the table and the JSON file.
type report struct {
	Started     time.Time `json:"started"`
	Provider    string    `json:"provider"`
	MemoryLimit string    `json:"goMemLimit"`
	Quick       bool      `json:"quick"`
	Go          string    `json:"go"`
	CPUs        int       `json:"cpus"`
	LoadBefore  string    `json:"loadBefore"` // /proc/loadavg: other load on this machine disturbs the figures
	LoadAfter   string    `json:"loadAfter"`
	Lines       []line    `json:"lines"`
}

// line is one figure and what it is compared with.
type line struct {
	Scenario string  `json:"scenario"`
	What     string  `json:"what"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit,omitempty"`
	Floor    float64 `json:"floor,omitempty"`
	Ratio    float64 `json:"ratio,omitempty"` // Value / Floor
	Rival    string  `json:"rival,omitempty"` // AWS's provider 3.1.1
	Goal     string  `json:"goal"`
	Met      bool    `json:"met"`
	Absent   bool    `json:"absent,omitempty"` // not measured: see Note
	Fault    string  `json:"fault,omitempty"`
	Note     string  `json:"note,omitempty"`
}

func newReport(o options) *report {
	return &report{
		Started: time.Now().UTC().Truncate(time.Second), Provider: o.provider, MemoryLimit: o.memoryLimit, Quick: o.quick,
		Go: runtime.Version(), CPUs: runtime.NumCPU(), LoadBefore: loadAverage(),
	}
}

func (r *report) add(scenario string, measured []measurement) {
	for _, m := range measured {
		e := expectations[scenario][m.What]
		l := line{
			Scenario: scenario, What: m.What, Value: round(m.Value), Unit: m.Unit, Floor: round(m.Floor),
			Rival: e.rival, Goal: e.goal.text(m.Unit), Met: e.goal.met(m), Fault: m.Fault, Note: m.Note,
		}
		if math.IsNaN(m.Value) {
			l.Value, l.Absent, l.Met = 0, true, false
		}
		if m.Floor > 0 {
			l.Ratio = math.Round(100*m.Value/m.Floor) / 100
		}
		r.Lines = append(r.Lines, l)
	}
	r.LoadAfter = loadAverage()
}

// print writes the table.
func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "%d cores, shared by the provider, the client and the simulator of AWS (and by others: load %s before, %s after); %s, GOMEMLIMIT=%s\n",
		r.CPUs, r.LoadBefore, r.LoadAfter, r.Go, r.MemoryLimit)
	fmt.Fprintf(out, "floor: one STS call, then all reads at once, by a bare SDK client in the same run. %s: measured on another 2-core machine.\n\n", rivalName)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join([]string{"SCENARIO", "WHAT", "MEASURED", "FLOOR", "RATIO", strings.ToUpper(rivalName), "GOAL", ""}, "\t"))
	var notes []string
	for _, l := range r.Lines {
		measured, floor, ratio := quantity(l.Value, l.Unit), "", ""
		if l.Absent {
			measured = "n/a"
		}
		if l.Floor > 0 {
			floor, ratio = quantity(l.Floor, l.Unit), fmt.Sprintf("%.2f", l.Ratio)
		}
		verdict := l.verdict()
		for _, text := range []string{l.Fault, l.Note} {
			if text != "" {
				notes = append(notes, text)
				verdict += fmt.Sprintf(" [%d]", len(notes))
			}
		}
		fmt.Fprintln(table, strings.Join([]string{l.Scenario, l.What, measured, floor, ratio, l.Rival, l.Goal, verdict}, "\t"))
	}
	_ = table.Flush() // an error of out has already shown
	fmt.Fprintln(out)
	for i, note := range notes {
		fmt.Fprintf(out, "[%d] %s\n", i+1, note)
	}
}

func (l line) verdict() string {
	switch {
	case l.Absent:
		return "not measured"
	case l.Fault != "":
		return "FAILED"
	case !l.Met:
		return "MISSED"
	case l.Goal == goal{}.text(""):
		return ""
	default:
		return "met"
	}
}

func (r *report) writeJSON(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// quantity formats a figure with three significant digits.
func quantity(v float64, unit string) string {
	var text string
	switch {
	case v == math.Trunc(v) || math.Abs(v) >= 100:
		text = fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		text = fmt.Sprintf("%.1f", v)
	default:
		text = fmt.Sprintf("%.2f", v)
	}
	if unit == "" {
		return text
	}
	return text + " " + unit
}

func round(v float64) float64 { return math.Round(1000*v) / 1000 }
