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

func of(kind fault.Kind, what string) error { return &fault.Error{Kind: kind, What: what} }

func TestJoin_NoErrorIsNil(t *testing.T) {
	if err := fault.Join(nil); err != nil {
		t.Errorf("of no list: %v", err)
	}
	if err := fault.Join([]error{nil, nil}); err != nil {
		t.Errorf("of no errors: %v", err)
	}
}

func TestJoin_OneErrorIsReturnedUnchanged(t *testing.T) {
	one := of(fault.NotFound, "a")
	if err := fault.Join([]error{nil, one, nil}); err != one {
		t.Errorf("%v, want the error itself", err)
	}
}

func TestJoin_EqualMessagesCountOnce(t *testing.T) {
	got := fault.Join([]error{of(fault.NotFound, "a"), of(fault.NotFound, "a")})
	if got.Error() != "a" {
		t.Errorf("two equal failures: %q, want it once", got)
	}
	got = fault.Join([]error{of(fault.NotFound, "a"), of(fault.NotFound, "b"), of(fault.NotFound, "a")})
	if want := "2 failures: (1) a; (2) b"; got.Error() != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestJoin_ListsEachInOrder(t *testing.T) {
	got := fault.Join([]error{of(fault.Transient, "c (try again)"), nil, of(fault.Denied, "a: b"), errors.New("x\ny")})
	if want := "3 failures: (1) c (try again); (2) a: b; (3) x y"; got.Error() != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestJoin_LongListIsCutWithACount(t *testing.T) {
	var errs []error
	for i := range 10 {
		errs = append(errs, of(fault.NotFound, fmt.Sprint("e", i)))
	}
	if got := fault.Join(errs).Error(); !strings.HasSuffix(got, "; (10) e9") {
		t.Errorf("ten failures: %q, want all of them", got)
	}
	for i := range 7 {
		errs = append(errs, of(fault.NotFound, fmt.Sprint("f", i)))
	}
	got := fault.Join(errs).Error()
	if !strings.HasPrefix(got, "17 failures: (1) e0; ") || !strings.HasSuffix(got, "; (10) e9; and 7 more") {
		t.Errorf("seventeen failures: %q, want ten and a count", got)
	}
}

// Join takes the most severe kind: a failure that no retry can fix comes before a transient one.
func TestD28_JoinTakesTheMostSevereKind(t *testing.T) {
	kinds := fault.Kinds()
	for i, severe := range kinds {
		for _, milder := range kinds[i:] {
			for _, errs := range [][]error{{of(severe, "g"), of(milder, "m")}, {of(milder, "m"), of(severe, "g")}} {
				if got := fault.KindOf(fault.Join(errs)); got != severe {
					t.Errorf("%v and %v: kind %v, want %v", severe, milder, got, severe)
				}
			}
		}
	}
	if got := fault.KindOf(fault.Join([]error{of(fault.Denied, "a"), errors.New("foreign")})); got != fault.Internal {
		t.Errorf("with a foreign error: kind %v, want %v", got, fault.Internal)
	}
	wrapped := fmt.Errorf("around: %w", of(fault.Class, "a"))
	if got := fault.KindOf(fault.Join([]error{of(fault.Denied, "b"), wrapped})); got != fault.Class {
		t.Errorf("with a wrapped one: kind %v, want %v", got, fault.Class)
	}
}

func TestJoin_KeepsEveryCause(t *testing.T) {
	err := fault.Join([]error{
		&fault.Error{Kind: fault.Denied, Why: "a", Cause: fs.ErrNotExist},
		&fault.Error{Kind: fault.NotFound, Why: "b", Cause: fs.ErrPermission},
	})
	for _, cause := range []error{fs.ErrNotExist, fs.ErrPermission} {
		if !errors.Is(err, cause) {
			t.Errorf("errors.Is does not find %v", cause)
		}
	}
	if diff := cmp.Diff("2 failures: (1) a; (2) b", err.Error()); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	again := fault.Join([]error{err, of(fault.Transient, "c")})
	if diff := cmp.Diff("2 failures: (1) 2 failures: (1) a; (2) b; (2) c", again.Error()); diff != "" {
		t.Errorf("joined again (-want +got):\n%s", diff)
	}
	if got := fault.KindOf(again); got != fault.Denied {
		t.Errorf("joined again: kind %v, want %v", got, fault.Denied)
	}
}

func TestJoin_DoesNotChangeItsInput(t *testing.T) {
	errs := []error{of(fault.Denied, "a"), of(fault.Denied, "b")}
	_ = fault.Join(errs)
	if errs[0].Error() != "a" || errs[1].Error() != "b" {
		t.Errorf("Join changed the list to %v", errs)
	}
}
