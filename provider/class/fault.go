package class

import (
	"fmt"
	"regexp"
	"strings"

	"secrets-provider-aws/internal/fault"
)

// Error lists every fault of a SecretProviderClass.
type Error struct{ Faults []Fault }

// Fault is one mistake in a SecretProviderClass.
type Fault struct {
	Field   string // `region`, `objects[2].filePermission`
	Line    int    // line inside the text of `objects`, from 1; 0 if the field is not in that text
	Column  int    // column there, from 1
	Message string // what is wrong, and how to fix it
}

// String formats the fault as "field (line 3): message".
func (f Fault) String() string {
	field := f.Field
	if !fieldRE.MatchString(field) { // an unknown parameter can have any name
		field = fault.Quote(field)
	}
	if f.Line > 0 {
		return fmt.Sprintf("%s (line %d): %s", field, f.Line, f.Message)
	}
	return field + ": " + f.Message
}

var fieldRE = regexp.MustCompile(`^[A-Za-z0-9_.\[\]-]{1,120}$`)

// Parameter names the parameter that contains the fault, such as `objects` for `objects[2].filePermission`.
func (f Fault) Parameter() string {
	if rest, ok := strings.CutPrefix(f.Field, paramObjects); ok && strings.HasPrefix(rest, "[") {
		return paramObjects
	}
	return f.Field
}

// Warning is a likely mistake in a SecretProviderClass that does not stop a mount.
type Warning struct {
	Fault
	Harmless bool // the provider read it as intended; otherwise it has no effect, or AWS will refuse it
}

// Error lists the faults in their order.
func (e *Error) Error() string {
	texts := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		texts[i] = f.String()
	}
	if len(texts) == 1 {
		return texts[0]
	}
	const most = 20
	more := ""
	if len(texts) > most {
		more = fmt.Sprintf("; and %d more", len(texts)-most)
		texts = texts[:most]
	}
	for i, text := range texts {
		texts[i] = fmt.Sprintf("(%d) %s", i+1, text)
	}
	return fmt.Sprintf("%d faults: %s%s", len(e.Faults), strings.Join(texts, "; "), more)
}

// position is a position inside the text of `objects`; the zero value means none.
type position struct{ line, column int }

// report collects faults and warnings.
type report struct {
	faults   []Fault
	warnings []Warning
}

func (r *report) fault(field string, at position, format string, args ...any) {
	if r.full() {
		return
	}
	r.faults = append(r.faults, Fault{Field: field, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

// maxFaults is far more than a message shows. With YAML aliases a short text can have a quarter of a million.
const maxFaults = 1000

// full reports whether there are so many faults that looking for more helps nobody.
func (r *report) full() bool { return len(r.faults) >= maxFaults }

// maxWarnings keeps one class from flooding the log.
const maxWarnings = 50

// warnedEnough reports whether one more warning would be dropped.
func (r *report) warnedEnough() bool { return len(r.warnings) >= maxWarnings }

func (r *report) warn(w Warning) {
	if !r.warnedEnough() {
		r.warnings = append(r.warnings, w)
	}
}

// odd adds a warning about something that has no effect or that AWS will refuse.
func (r *report) odd(field string, at position, format string, args ...any) {
	r.warn(Warning{Fault: Fault{Field: field, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)}})
}

func (r *report) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	e := &Error{Faults: r.faults}
	return &fault.Error{Kind: fault.Class, Why: e.Error(), Cause: e}
}
