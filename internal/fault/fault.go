// Package fault defines the project's error type: what failed, why, and what to do, in one line for the
// events of a pod.
//
// auth and provider create these errors. server maps their Kind to a gRPC code.
package fault

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Kind classifies a failure. The zero Kind is Internal.
type Kind int

// The kinds, most severe first. Join takes the most severe kind of several failures.
const (
	Internal    Kind = iota // a bug in the provider
	Class                   // the SecretProviderClass (or the pod's volumeAttributes) is wrong
	Identity                // no usable token, ServiceAccount or role: change the cluster
	Credentials             // AWS refuses the role to this ServiceAccount
	Denied                  // the role may not read the object
	NotFound                // the object, version, stage or key does not exist
	Content                 // the value does not fit the SecretProviderClass: not JSON, no such key, too large
	Rejected                // AWS rejects the request: any other 4xx
	Transient               // throttling, 5xx, timeout, no connection: a retry may succeed
)

var kindNames = [...]string{
	Internal: "internal", Class: "class", Identity: "identity", Credentials: "credentials", Denied: "denied",
	NotFound: "not_found", Content: "content", Rejected: "rejected", Transient: "transient",
}

// Kinds lists every Kind, for tests of complete tables.
func Kinds() []Kind {
	kinds := make([]Kind, len(kindNames))
	for i := range kindNames {
		kinds[i] = Kind(i)
	}
	return kinds
}

// String is the kind's name in logs and metric labels.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind(%d)", int(k))
	}
	return kindNames[k]
}

// Error is a failure. Each part may be empty.
// No part may contain a secret value, a token or a credential.
type Error struct {
	Kind      Kind
	What      string // what failed, for example `cannot read secret "payments/db"`
	Region    string // AWS region of the call
	Failover  bool   // Region is the volume's failover region
	Why       string // the reason, in the provider's own words
	Code      string // AWS's own error code
	Message   string // AWS's own message
	RequestID string // AWS's request id, for AWS support and CloudTrail
	Hint      string // what the reader can do about it
	Cause     error  // for errors.Is and errors.As; printed only if Why and Message are empty
}

// Error joins the parts to one line: what in region: why: AWS's error (hint).
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

// Unwrap returns the cause.
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

// KindOf is the Kind of err, or Internal if err is not an Error.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// maxListed limits the failures in one message. Kubernetes cuts an event at 1,024 bytes.
const maxListed = 10

// Join joins the failures of a mount to one error. It returns nil for none and the error itself for one. The Kind is
// the most severe one. Equal messages count once.
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

// hidden keeps the joined causes for errors.Is and prints nothing, because What contains all messages.
type hidden struct{ error }

func (h hidden) Unwrap() error { return h.error }
func (h hidden) Error() string { return "" }

// maxQuoted limits the input that a message repeats, in bytes.
const maxQuoted = 120

// Quote formats a name or value of the SecretProviderClass for a message: escaped, and shortened if it is long.
func Quote(s string) string {
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}

// OneLine replaces line breaks and repeated spaces with one space, and invisible characters with U+FFFD: messages of AWS
// repeat labels and versions as they were sent.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return '\uFFFD'
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
}

// Detached is err without its cause, with the same text and Kind, for callers that keep it. The cause of an error from
// AWS holds the whole request and response, more than 6 KiB.
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
