package fault_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/internal/fault"
)

func TestError_MessageIsOneLineOfItsParts(t *testing.T) {
	full := fault.Error{
		Kind: fault.Denied, What: `cannot read secret "db"`, Region: "eu-west-1", Why: "no access",
		Code: "AccessDeniedException", Message: "User: x is not authorized.", RequestID: "id-1", Hint: "allow it", Cause: errors.New("hidden"),
	}
	without := func(change func(*fault.Error)) *fault.Error {
		e := full
		change(&e)
		return &e
	}
	for _, tt := range []struct {
		name string
		err  *fault.Error
		want string
	}{
		{"all parts", &full, `cannot read secret "db" in eu-west-1: no access: AccessDeniedException: User: x is not authorized [request id id-1] (allow it)`},
		{"no region", without(func(e *fault.Error) { e.Region = "" }), `cannot read secret "db": no access: AccessDeniedException: User: x is not authorized [request id id-1] (allow it)`},
		{"failover region", without(func(e *fault.Error) { e.Failover = true }), `cannot read secret "db" in the failover region eu-west-1: no access: AccessDeniedException: User: x is not authorized [request id id-1] (allow it)`},
		{"no why", without(func(e *fault.Error) { e.Why = "" }), `cannot read secret "db" in eu-west-1: AccessDeniedException: User: x is not authorized [request id id-1] (allow it)`},
		{"no message", without(func(e *fault.Error) { e.Message = "" }), `cannot read secret "db" in eu-west-1: no access: AccessDeniedException [request id id-1] (allow it)`},
		{"no code", without(func(e *fault.Error) { e.Code = "" }), `cannot read secret "db" in eu-west-1: no access: User: x is not authorized [request id id-1] (allow it)`},
		{"no request id", without(func(e *fault.Error) { e.RequestID = "" }), `cannot read secret "db" in eu-west-1: no access: AccessDeniedException: User: x is not authorized (allow it)`},
		{"no hint", without(func(e *fault.Error) { e.Hint = "" }), `cannot read secret "db" in eu-west-1: no access: AccessDeniedException: User: x is not authorized [request id id-1]`},
		{"the cause if there is no other reason", &fault.Error{What: "cannot start", Cause: errors.New("disk full")}, "cannot start: disk full"},
		{"only what", &fault.Error{What: "it failed"}, "it failed"},
		{"only why", &fault.Error{Why: "it failed"}, "it failed"},
		{"line breaks and tabs", &fault.Error{What: "a\nb", Why: "c\r\n\td", Hint: "e   f"}, "a b: c d (e f)"},
		{"nothing", &fault.Error{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.err.Error()); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestError_KeepsItsCause(t *testing.T) {
	err := fmt.Errorf("around: %w", &fault.Error{Kind: fault.Content, Why: "no", Cause: fs.ErrNotExist})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("errors.Is does not find the cause")
	}
	if got := fault.KindOf(err); got != fault.Content {
		t.Errorf("kind %v, want %v", got, fault.Content)
	}
	if got := fault.KindOf(errors.New("foreign")); got != fault.Internal {
		t.Errorf("kind %v of a foreign error, want %v", got, fault.Internal)
	}
	if got := fault.KindOf(nil); got != fault.Internal {
		t.Errorf("kind %v of no error, want %v", got, fault.Internal)
	}
}

func TestKinds_HaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range fault.Kinds() {
		name := k.String()
		if name == "" || strings.Contains(name, "kind(") || seen[name] {
			t.Errorf("kind %d has the name %q", int(k), name)
		}
		seen[name] = true
	}
	if first, last := fault.Kinds()[0], fault.Kinds()[len(fault.Kinds())-1]; first != fault.Internal || last != fault.Transient {
		t.Errorf("kinds go from %v to %v, want internal to transient", first, last)
	}
	for _, k := range []fault.Kind{-1, fault.Transient + 1} {
		if got, want := k.String(), fmt.Sprintf("kind(%d)", int(k)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"a":                               `"a"`,
		"":                                `""`,
		"a\x1b[31m\n\"":                   `"a\x1b[31m\n\""`,
		strings.Repeat("a", 120):          `"` + strings.Repeat("a", 120) + `"`,
		strings.Repeat("a", 121):          `"` + strings.Repeat("a", 120) + `…"`,
		"a" + strings.Repeat("é", 60):     `"a` + strings.Repeat("é", 59) + `…"`, // never cuts a character in half
		"\xff":                            `"\xff"`,
		strings.Repeat("\xff", 1000):      `"…"`,
		"\u202eevil\u200b\u2028\u0085end": `"\u202eevil\u200b\u2028\u0085end"`,
	} {
		if got := fault.Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"": "", " \n\t": "", "a": "a", " a  b\r\nc\n\nd ": "a b c d", "a\u2028b\u0085c": "a b c",
	} {
		if got := fault.OneLine(in); got != want {
			t.Errorf("OneLine(%q) = %q, want %q", in, got, want)
		}
	}
}

func panics(value any) (err error) {
	defer fault.Recover(&err)
	panic(value)
}

func TestD30_PanicValueIsNeverShown(t *testing.T) {
	const secret = "hunter2-hunter2"
	for name, value := range map[string]any{
		"text": secret, "error": errors.New(secret), "bytes": []byte(secret), "struct": struct{ password string }{secret},
	} {
		t.Run(name, func(t *testing.T) {
			err := panics(value)
			var p *fault.Panic
			if !errors.As(err, &p) {
				t.Fatalf("error %v, want a panic as its cause", err)
			}
			if fault.KindOf(err) != fault.Internal {
				t.Errorf("kind %v, want %v", fault.KindOf(err), fault.Internal)
			}
			if shown := fmt.Sprintf("%v %+v %s %s", err, err, p.Reason, p.Stack); strings.Contains(shown, secret) {
				t.Errorf("the value is visible: %s", shown)
			}
			if !strings.Contains(string(p.Stack), "fault_test.panics") {
				t.Errorf("the stack does not contain the panicking function:\n%s", p.Stack)
			}
		})
	}
}

func TestRecover_KeepsRuntimeErrors(t *testing.T) {
	var err error
	func() {
		defer fault.Recover(&err)
		none := make([]int, 0)
		none[cap(none)] = 1
	}()
	const want = "the provider failed on this request: a defect in it: runtime error: index out of range [0] with length 0 (its log has the details; please report them)"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestRecover_KeepsOtherErrors(t *testing.T) {
	mine := errors.New("mine")
	err := func() (err error) {
		defer fault.Recover(&err)
		return mine
	}()
	if err != mine {
		t.Errorf("error %v, want the function's error", err)
	}
}
