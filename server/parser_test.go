package server

import (
	"context"
	"strings"
	"testing"

	"secrets-provider-aws/internal/fault"
)

// Long SecretProviderClasses are parsed within a bound of memory, one after the other, and short ones never wait.
func TestT54_LongClassesShareABudget(t *testing.T) {
	const object = "- {objectName: prod/db, objectType: secretsmanager}\n"
	long := map[string]string{"objects": object + strings.Repeat("#", shortObjects), "region": "eu-west-1"}
	short := map[string]string{"objects": object, "region": "eu-west-1"}
	p := newParser()
	if _, err := p.parse(t.Context(), long, ""); err != nil {
		t.Fatal(err)
	}
	if err := p.budget.Acquire(t.Context(), maxParsing); err != nil { // as long ones do: all of it, if it was given back
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.parse(over, long, ""); fault.KindOf(err) != fault.Transient {
		t.Errorf("a long class with no budget left: %v, want a transient failure once its time is over", err)
	}
	if _, err := p.parse(over, short, ""); err != nil {
		t.Errorf("a short class waits for long ones: %v", err)
	}
	p.budget.Release(maxParsing)
	tooLong := map[string]string{"objects": strings.Repeat("#", 2*maxParsing)}
	if _, err := p.parse(t.Context(), tooLong, ""); fault.KindOf(err) != fault.Class {
		t.Errorf("a class longer than the budget: %v, want it refused", err)
	}
}
