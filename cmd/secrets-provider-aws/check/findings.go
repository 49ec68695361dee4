package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"secrets-provider-aws/internal/fault"
)

// Severity is the severity of a finding.
type Severity string

// The severities. An Error stops pods from starting, or is a setting without effect. A Warning is probably a mistake.
// A Note is information.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Finding is one fault, warning or note about the manifests.
type Finding struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file"` // as given on the command line, or <stdin>
	Line     int      `json:"line"` // from 1
	Column   int      `json:"column"`
	Object   string   `json:"object"`          // kind namespace/name
	Field    string   `json:"field,omitempty"` // of the manifest, or of an entry of its objects
	Message  string   `json:"message"`

	name string // of the object, without kind and namespace
}

// maxFindings limits the list. More findings usually have one cause.
const maxFindings = 1000

// findings collects findings without repetition.
type findings struct {
	list    []Finding
	dropped int
	seen    map[Finding]bool
}

func (f *findings) add(severity Severity, at place, o object, field, format string, args ...any) {
	finding := Finding{Severity: severity, File: at.file, Line: at.line, Column: at.column, Field: field, Message: fmt.Sprintf(format, args...)}
	if o.document != nil {
		finding.Object, finding.name = plain(o.kind)+" "+o.ref(), plain(o.name)
	}
	switch {
	case f.seen[finding]:
	case len(f.list) == maxFindings:
		f.dropped++
	default:
		f.seen[finding] = true
		f.list = append(f.list, finding)
	}
}

// sorted sorts the findings by file, in the order of reading, then by line and column.
func (f *findings) sorted(files []string) []Finding {
	order := map[string]int{}
	for i, file := range files {
		if _, known := order[file]; !known {
			order[file] = i
		}
	}
	list := slices.Clone(f.list)
	slices.SortStableFunc(list, func(a, b Finding) int {
		if d := order[a.File] - order[b.File]; d != 0 {
			return d
		}
		if d := a.Line - b.Line; d != 0 {
			return d
		}
		return a.Column - b.Column
	})
	if f.dropped > 0 {
		list = append(list, Finding{Severity: Error, Message: fmt.Sprintf("and %d more findings", f.dropped)})
	}
	return list
}

// String formats the finding like a compiler message, so that editors can jump to its position.
func (f Finding) String() string {
	var b strings.Builder
	if f.File != "" {
		fmt.Fprintf(&b, "%s:%d:%d: ", f.File, f.Line, f.Column)
	}
	b.WriteString(string(f.Severity) + ": ")
	for _, part := range []string{f.name, f.Field} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(f.Message)
	return b.String()
}

// quote quotes a piece of the manifests for a message.
func quote(s string) string { return fault.Quote(s) }

// plain returns a name or path unchanged if it is one readable word, and quoted otherwise.
func plain(s string) string {
	odd := func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar }
	if strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}
