package awssim

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// stsLimits collects the violated constraints of an STS request, because the
// service reports all of them in one ValidationError.
type stsLimits struct{ faults []string }

// text checks the length of a parameter, in characters; nil = not given.
func (l *stsLimits) text(member string, value *string, shortest, longest int) {
	if value != nil {
		l.length(member, fmt.Sprintf("'%s' ", *value), utf8.RuneCountInString(*value), shortest, longest)
	}
}

// needText checks a required parameter.
func (l *stsLimits) needText(member string, value *string, shortest, longest int) {
	if value == nil {
		l.add(member, "null ", "Member must not be null")
	}
	l.text(member, value, shortest, longest)
}

// sensitive checks a length without printing the value.
func (l *stsLimits) sensitive(member string, size, shortest, longest int) {
	l.length(member, "", size, shortest, longest)
}

// number checks a range.
func (l *stsLimits) number(member string, value, least, most int64) {
	switch {
	case value < least:
		l.add(member, fmt.Sprintf("'%d' ", value), fmt.Sprintf("Member must have value greater than or equal to %d", least))
	case value > most:
		l.add(member, fmt.Sprintf("'%d' ", value), fmt.Sprintf("Member must have value less than or equal to %d", most))
	}
}

func (l *stsLimits) length(member, printed string, size, shortest, longest int) {
	switch {
	case size < shortest:
		l.add(member, printed, fmt.Sprintf("Member must have length greater than or equal to %d", shortest))
	case size > longest:
		l.add(member, printed, fmt.Sprintf("Member must have length less than or equal to %d", longest))
	}
}

// add records a fault. printed is the value and a space, or empty.
func (l *stsLimits) add(member, printed, rule string) {
	l.faults = append(l.faults, fmt.Sprintf("Value %sat '%s' failed to satisfy constraint: %s", printed, member, rule))
}

// err returns nil if no constraint is violated.
func (l *stsLimits) err() *apiError {
	if len(l.faults) == 0 {
		return nil
	}
	plural := ""
	if len(l.faults) > 1 {
		plural = "s"
	}
	return validationError(fmt.Sprintf("%d validation error%s detected: %s", len(l.faults), plural, strings.Join(l.faults, "; ")))
}
