package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/internal/fault"
)

// finalCodes are the codes that Mount may return. The others are not final to the kubelet (Canceled,
// DeadlineExceeded, Unavailable, ResourceExhausted, Aborted) or have no meaning (Unknown).
var finalCodes = map[codes.Code]bool{
	codes.InvalidArgument: true, codes.FailedPrecondition: true, codes.Unauthenticated: true,
	codes.PermissionDenied: true, codes.NotFound: true, codes.Internal: true,
}

// docs/reference.md lists the code of each kind for users.
func TestD27_OneCodeForEachKind(t *testing.T) {
	want := map[fault.Kind]codes.Code{
		fault.Internal:    codes.Internal,
		fault.Class:       codes.InvalidArgument,
		fault.Identity:    codes.FailedPrecondition,
		fault.Credentials: codes.Unauthenticated,
		fault.Denied:      codes.PermissionDenied,
		fault.NotFound:    codes.NotFound,
		fault.Content:     codes.FailedPrecondition,
		fault.Rejected:    codes.InvalidArgument,
		fault.Transient:   codes.Internal,
	}
	for _, kind := range fault.Kinds() {
		code, decided := want[kind]
		if !decided {
			t.Errorf("kind %s has no code in this test: add one that is final", kind)
			continue
		}
		err := toStatus(&fault.Error{Kind: kind, What: "cannot read it"}, "payments/payment-secrets")
		if got := status.Code(err); got != code || !finalCodes[got] {
			t.Errorf("kind %s has code %s, want %s", kind, got, code)
		}
		if got, want := status.Convert(err).Message(), "SecretProviderClass payments/payment-secrets: cannot read it"; got != want {
			t.Errorf("kind %s: message %q, want %q", kind, got, want)
		}
	}
	if got := status.Code(toStatus(&fault.Error{Kind: fault.Kind(99)}, "")); got != codes.Internal {
		t.Errorf("an unknown kind has code %s, want Internal", got)
	}
	if err := toStatus(nil, "payments/payment-secrets"); err != nil {
		t.Errorf("no error became %v", err)
	}
}

// allCodes returns every gRPC code except OK, which is not an error.
func allCodes() []codes.Code {
	all := make([]codes.Code, 0, 16)
	for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
		all = append(all, c)
	}
	return all
}

// timeoutError is like the error of net and net/http after a deadline.
type timeoutError struct{}

func (timeoutError) Error() string { return "i/o timeout" }
func (timeoutError) Timeout() bool { return true }

// handlerErrors are errors that a handler may return, by name.
func handlerErrors() map[string]error {
	errs := map[string]error{
		"bare deadline":      context.DeadlineExceeded,
		"bare cancellation":  context.Canceled,
		"wrapped deadline":   fmt.Errorf("fetch: %w", context.DeadlineExceeded),
		"joined with others": errors.Join(io.ErrUnexpectedEOF, context.Canceled),
		"timeout":            fmt.Errorf("read: %w", timeoutError{}),
		"any other":          errors.New("something"),
		"empty":              errors.New(""),
	}
	for _, c := range allCodes() {
		bare := status.Error(c, "from elsewhere")
		errs["status "+c.String()] = bare
		errs["wrapped status "+c.String()] = fmt.Errorf("call: %w", bare)
		errs["status as cause "+c.String()] = &fault.Error{Kind: fault.Transient, What: "cannot read it", Cause: bare}
	}
	for _, kind := range fault.Kinds() {
		errs["deadline as cause, "+kind.String()] = &fault.Error{Kind: kind, What: "cannot read it", Cause: context.DeadlineExceeded}
		errs["wrapped, "+kind.String()] = fmt.Errorf("mount: %w", &fault.Error{Kind: kind, What: "cannot read it", Cause: context.Canceled})
		errs["joined, "+kind.String()] = fault.Join([]error{&fault.Error{Kind: kind, What: "first"}, context.DeadlineExceeded})
	}
	return errs
}

func TestD26_MountReturnsOnlyFinalCodes(t *testing.T) {
	for name, err := range handlerErrors() {
		t.Run(name, func(t *testing.T) {
			wantFinal(t, intercepted(t, func() error { return err }))
		})
	}
}

func TestD31_BareContextErrorGetsAMessage(t *testing.T) {
	for _, err := range []error{context.DeadlineExceeded, context.Canceled, fmt.Errorf("get: %w", context.DeadlineExceeded)} {
		got := intercepted(t, func() error { return err })
		if message := status.Convert(got).Message(); message != "the mount took too long (the kubelet retries automatically)" {
			t.Errorf("%v became %q", err, message)
		}
	}
}

// A panic fails only its own request, with a final code. The panic value may be secret and shows nowhere.
func TestD30_PanicFailsOnlyItsOwnRequest(t *testing.T) {
	const canary = "canary-of-a-panic"
	tests := map[string]struct {
		throw func()
		says  string // text of the runtime, which contains no value of the request
	}{
		"nil map":       {func() { nothing[map[string]int]()["x"]++ }, "assignment to entry in nil map"},
		"nil pointer":   {func() { _ = nothing[*volume]().className }, "nil pointer dereference"},
		"index":         {func() { none := []int{}; _ = none[len(canary)] }, "index out of range"},
		"a string":      {func() { panic(canary) }, "panic with a string"},
		"an error":      {func() { panic(errors.New(canary)) }, "panic with a *errors.errorString"},
		"a status":      {func() { panic(status.Error(codes.Unavailable, canary)) }, "panic with a *status.Error"},
		"the deadline":  {func() { panic(context.DeadlineExceeded) }, "panic with a context.deadlineExceededError"},
		"our own":       {func() { panic(&fault.Error{Kind: fault.Transient, What: canary}) }, "panic with a *fault.Error"},
		"a runtime's":   {func() { panic(fmt.Errorf("%s: %w", canary, runtimeError())) }, "nil map"},
		"nothing":       {func() { panic(nil) }, "panic called with nil argument"}, //nolint:govet // on purpose
		"typed content": {func() { panic([]byte(canary)) }, "panic with a []uint8"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var logs strings.Builder
			err := interceptedWithLog(t, &logs, func() error { tc.throw(); return nil })
			wantFinal(t, err)
			if got := status.Code(err); got != codes.Internal {
				t.Errorf("code %s, want Internal", got)
			}
			if message := status.Convert(err).Message(); !strings.Contains(message, tc.says) {
				t.Errorf("message %q does not say %q", message, tc.says)
			}
			if !strings.Contains(logs.String(), "stack=") {
				t.Errorf("the log has no stack: %s", logs.String())
			}
			if all := err.Error() + logs.String(); strings.Contains(all, canary) {
				t.Errorf("the panic value shows: %s", all)
			}
		})
	}
}

// nothing returns the zero value of a type. Linters cannot see that it is nil.
func nothing[T any]() (zero T) { return zero }

func runtimeError() (err runtime.Error) {
	defer func() { err, _ = recover().(runtime.Error) }()
	nothing[map[string]int]()["x"]++
	return nil
}

// A message is sent in an HTTP/2 header and shown in an event. It is one line, bounded and valid UTF-8.
func TestD29_StatusMessageIsBoundedAndValid(t *testing.T) {
	for name, text := range map[string]string{
		"long":           strings.Repeat("x", 1<<20),
		"long, cut rune": strings.Repeat("é", 1<<20),
		"not UTF-8":      "a\xffb",
		"lines":          "one\ntwo\r\n\tthree",
	} {
		for _, err := range []error{errors.New(text), &fault.Error{Kind: fault.Class, Why: text}} {
			message := status.Convert(toStatus(err, "payments/payment-secrets")).Message()
			if len(message) > maxMessage || !utf8.ValidString(message) || strings.ContainsAny(message, "\r\n") {
				t.Errorf("%s as %T: %d bytes, valid %t: %.60q", name, err, len(message), utf8.ValidString(message), message)
			}
			if !strings.HasPrefix(message, "SecretProviderClass payments/payment-secrets: ") {
				t.Errorf("%s as %T does not begin with the class: %.60q", name, err, message)
			}
		}
	}
}

// intercepted returns the error of a Mount with the given handler.
func intercepted(t *testing.T, handle func() error) error {
	t.Helper()
	return interceptedWithLog(t, io.Discard, handle)
}

func interceptedWithLog(t *testing.T, logs io.Writer, handle func() error) error {
	t.Helper()
	volumes := newRefreshes(time.Now)
	s := &Server{log: slog.New(slog.NewTextHandler(logs, nil)), now: time.Now, volumes: volumes, metrics: newMetrics("1.2.3", bytebudget.New(1), volumes)}
	_, err := s.intercept(t.Context())(t.Context(), &v1alpha1.MountRequest{},
		&grpc.UnaryServerInfo{FullMethod: v1alpha1.CSIDriverProvider_Mount_FullMethodName},
		func(context.Context, any) (any, error) { return &v1alpha1.MountResponse{}, handle() })
	return err
}

func wantFinal(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("the failed call returned no error")
	}
	if _, isStatus := err.(interface{ GRPCStatus() *status.Status }); !isStatus { // as gRPC checks it, without unwrapping
		t.Errorf("%T is not a status: gRPC would return Unknown", err)
	}
	if code := status.Code(err); !finalCodes[code] {
		t.Errorf("returned %s, which is not final: %v", code, err)
	}
	if status.Convert(err).Message() == "" {
		t.Errorf("returned no message: %v", err)
	}
}
