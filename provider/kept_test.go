package provider

import (
	"errors"
	"testing"
	"time"

	"secrets-provider-aws/internal/fault"
)

// A read that failed is remembered without its cause, which holds the whole exchange with AWS: a pod author can have
// the provider remember a failure for every name there is.
func TestT55_ARecordHoldsNoExchange(t *testing.T) {
	cause := errors.New("the whole exchange")
	now := time.Now()
	r := record{}.failed(&fault.Error{Kind: fault.NotFound, What: "cannot read", Message: "no such secret", Cause: cause}, now, now)
	if errors.Is(r.err, cause) || r.err.Error() != "cannot read: no such secret" {
		t.Errorf("the record holds %v and its cause", r.err)
	}
}
