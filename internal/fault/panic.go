package fault

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Panic is the cause of an Error that was a panic.
type Panic struct {
	Reason string // the runtime's own words, or the type of the value; never the value, which may hold anything
	Stack  []byte // of the goroutine that panicked; holds addresses, no values
}

// Error is the reason.
func (p *Panic) Error() string { return p.Reason }

// Recover turns a panic into an error: one failed request, never a dead node.
// It must be deferred itself, in every goroutine that works for a request.
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
