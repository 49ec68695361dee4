// Package fault holds the one error type of the project: what failed, why, and
// what to do, in one line that reads well in the events of a pod.
//
// auth and provider make these errors, server turns their Kind into a gRPC code.
package fault

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Kind says what sort of failure an error is. The zero Kind is Internal.
type Kind int

// The kinds, mildest last: of several failures the first in this order names the whole.
const (
	Internal    Kind = iota // a defect of ours
	Class                   // the SecretProviderClass (or the pod's volumeAttributes) is wrong
	Identity                // no usable token, ServiceAccount or role: the cluster has to be changed
	Credentials             // AWS refuses to give the role to this ServiceAccount
	Denied                  // the role may not read the object
	NotFound                // the object, version, stage or key is not there
	Content                 // the value cannot be used as asked: not JSON, no such key, too large
	Rejected                // AWS calls the request wrong: any other 4xx
	Transient               // throttling, 5xx, time-out, no connection: trying again may help
)

var kindNames = [...]string{
	Internal: "internal", Class: "class", Identity: "identity", Credentials: "credentials", Denied: "denied",
	NotFound: "not_found", Content: "content", Rejected: "rejected", Transient: "transient",
}

// Kinds lists every Kind, for tables that must be complete.
func Kinds() []Kind {
	kinds := make([]Kind, len(kindNames))
	for i := range kindNames {
		kinds[i] = Kind(i)
	}
	return kinds
}

// String is the kind's name as logs and metric labels show it.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind(%d)", int(k))
	}
	return kindNames[k]
}

// Error is a failure in parts, any of which may be empty.
// No part may ever hold a secret value, a token or a credential.
type Error struct {
	Kind      Kind
	What      string // what was being done, for example `read secret "payments/db"`
	Region    string // AWS region that answered or should have
	Failover  bool   // Region is the volume's failover region
	Why       string // the reason, in words of ours
	Code      string // AWS's own error code
	Message   string // AWS's own message
	RequestID string // AWS's request id, for its support and for CloudTrail
	Hint      string // what the reader can do
	Cause     error  // kept for errors.Is and errors.As, and shown only when neither Why nor Message is set
}

// Error composes the parts into one line: what in region: why: AWS's answer (hint).
func (e *Error) Error() string {
	what := e.What
	switch {
	case e.Region != "" && e.Failover:
		what += " in the failover region " + e.Region
	case e.Region != "":
		what += " in " + e.Region
	}
	parts := make([]string, 0, 4)
	for _, part := range []string{what, e.Why, e.aws(), e.cause()} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	line := strings.Join(parts, ": ")
	if e.Hint != "" {
		line += " (" + e.Hint + ")"
	}
	return OneLine(line)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

func (e *Error) aws() string {
	parts := make([]string, 0, 3)
	if e.Code != "" {
		parts = append(parts, e.Code)
	}
	if e.Message != "" {
		parts = append(parts, strings.TrimRight(e.Message, ". "))
	}
	s := strings.Join(parts, ": ")
	if e.RequestID != "" {
		s += " [request id " + e.RequestID + "]"
	}
	return s
}

func (e *Error) cause() string {
	if e.Cause == nil || e.Why != "" || e.Message != "" {
		return ""
	}
	return e.Cause.Error()
}

// KindOf is the Kind of err, Internal where err is no Error.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// maxListed failures are spelled out in one message; an event is cut at 1,024 bytes.
const maxListed = 10

// Join makes one error of all the failures of a mount: nil of none, the error
// itself of one. Its Kind is the gravest that occurs; equal messages count once.
func Join(errs []error) error {
	var (
		first    *Error
		messages []string
		seen     = map[string]bool{}
	)
	for _, err := range errs {
		if err == nil {
			continue
		}
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Kind: Internal, What: err.Error()}
		}
		if first == nil || e.Kind < first.Kind {
			first = e
		}
		if m := err.Error(); !seen[m] {
			seen[m] = true
			messages = append(messages, m)
		}
	}
	switch {
	case first == nil:
		return nil
	case len(messages) == 1:
		return first
	}
	listed := messages
	more := ""
	if len(listed) > maxListed {
		more = fmt.Sprintf("; and %d more", len(listed)-maxListed)
		listed = listed[:maxListed]
	}
	for i, m := range listed {
		listed[i] = fmt.Sprintf("(%d) %s", i+1, m)
	}
	return &Error{
		Kind:  first.Kind,
		What:  fmt.Sprintf("%d failures: %s%s", len(messages), strings.Join(listed, "; "), more),
		Cause: hidden{errors.Join(errs...)},
	}
}

// hidden keeps the joined causes for errors.Is, and shows nothing: What has said it all.
type hidden struct{ error }

func (h hidden) Unwrap() error { return h.error }
func (h hidden) Error() string { return "" }

// maxQuoted bounds what a message repeats of somebody's input.
const maxQuoted = 120

// Quote shows a name or value of the SecretProviderClass in a message: escaped, and cut where it is long.
func Quote(s string) string {
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}

// OneLine folds line breaks and runs of spaces, and replaces what is no visible character, so that a message from
// elsewhere stays one line of text: AWS's own repeat labels and versions as they were sent.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return '\uFFFD'
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
}

// Detached is err for who keeps it: the same text and Kind without the cause. The cause of an error from AWS
// holds on to the whole exchange, request and response, which is more than 6 KiB.
func Detached(err error) error {
	e, ok := err.(*Error) //nolint:errorlint // one that is wrapped has another text
	if !ok {
		return &Error{Kind: KindOf(err), What: err.Error()}
	}
	kept := *e
	kept.Why = cmp.Or(e.Why, e.cause())
	kept.Cause = nil
	return &kept
}
