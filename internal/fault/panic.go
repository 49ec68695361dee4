package fault

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Panic is the cause of an Error that was made from a panic.
type Panic struct {
	Reason string // the text of a runtime error, or the type of the value; never the value, which may be a secret
	Stack  []byte // of the goroutine that panicked; contains addresses, no values
}

// Error is the reason.
func (p *Panic) Error() string { return p.Reason }

// Recover converts a panic to an error, so that only one request fails and the process goes on.
// Every goroutine that works for a request must defer it directly.
func Recover(err *error) {
	v := recover()
	if v == nil {
		return
	}
	p := &Panic{Reason: fmt.Sprintf("panic with a %T", v), Stack: debug.Stack()}
	var fromRuntime runtime.Error
	if e, ok := v.(error); ok && errors.As(e, &fromRuntime) {
		p.Reason = fromRuntime.Error()
	}
	*err = &Error{
		Kind: Internal, What: "the provider failed on this request", Why: "a defect in it: " + p.Reason,
		Hint: "its log has the details; please report them", Cause: p,
	}
}
