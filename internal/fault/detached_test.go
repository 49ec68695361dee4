package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"secrets-provider-aws/internal/fault"
)

// What is kept of an error says the same as the error, and holds on to nothing.
func TestT55_DetachedSaysTheSame(t *testing.T) {
	cause := errors.New("the whole exchange")
	denied := &fault.Error{Kind: fault.Denied, What: "cannot read", Region: "eu-west-1", Code: "AccessDeniedException", Message: "no", RequestID: "1", Hint: "allow it", Cause: cause}
	for name, err := range map[string]error{
		"of AWS":               denied,
		"with its cause shown": &fault.Error{Kind: fault.Transient, What: "cannot read", Cause: cause},
		"with words of ours":   &fault.Error{Kind: fault.Transient, What: "cannot read", Why: "no answer in time", Cause: context.DeadlineExceeded},
		"wrapped":              fmt.Errorf("and then: %w", denied),
		"of several":           fault.Join([]error{denied, &fault.Error{Kind: fault.Class, What: "other"}}),
		"no error of ours":     cause,
	} {
		got := fault.Detached(err)
		if got.Error() != err.Error() || fault.KindOf(got) != fault.KindOf(err) {
			t.Errorf("%s: got %v of kind %s, want %v of kind %s", name, got, fault.KindOf(got), err, fault.KindOf(err))
		}
		if errors.Is(got, cause) || errors.Is(got, context.DeadlineExceeded) {
			t.Errorf("%s: it holds on to its cause", name)
		}
	}
}

// Whatever a message repeats, it is one line that does nothing to a terminal.
func TestT53_MessagesAreOneLineOfVisibleText(t *testing.T) {
	got := (&fault.Error{What: "read", Message: "label \x00\x1b[31m\u202e\u2028\tb\r\nc \u00e9"}).Error()
	if want := "read: label \uFFFD\uFFFD[31m\uFFFD b c \u00e9"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
