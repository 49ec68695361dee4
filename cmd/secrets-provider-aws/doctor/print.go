package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"secrets-provider-aws/internal/fault"
)

// Report is the result of all checks.
type Report struct {
	Provider string  `json:"provider"` // version of this binary
	Node     string  `json:"node,omitempty"`
	Checks   []Check `json:"checks"`
	Summary  Summary `json:"summary"`
}

// Summary counts the checks by status.
type Summary struct {
	OK         int `json:"ok"`
	Warnings   int `json:"warnings"`
	Failures   int `json:"failures"`
	NotChecked int `json:"not_checked"`
}

func (s *Summary) add(status Status) {
	switch status {
	case OK:
		s.OK++
	case Warning:
		s.Warnings++
	case Failure:
		s.Failures++
	case NotChecked:
		s.NotChecked++
	}
}

// Failed reports whether a check failed.
func (r Report) Failed() bool { return r.Summary.Failures > 0 }

// WriteJSON writes the report as one JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteText writes one line for each check: its status, its name, what is the case, and in parentheses what to do.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, c := range r.Checks {
		line := c.Name + ": " + c.Message
		if c.Cure != "" {
			line += " (" + c.Cure + ")"
		}
		fmt.Fprintf(&b, "%-11s  %s\n", c.Status, fault.OneLine(line))
	}
	fmt.Fprintf(&b, "\n%d ok, %s, %s, %d not checked\n", r.Summary.OK, count(r.Summary.Warnings, "warning"), count(r.Summary.Failures, "failure"), r.Summary.NotChecked)
	_, err := io.WriteString(w, b.String())
	return err
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
