package awsclient

import "context"

// Tenant is who a call to AWS is made for.
type Tenant struct {
	// Key is the identity as a text that no other identity has, such as auth.Identity.Key gives. Calls
	// of one key share their retry state and take turns with those of other keys for the slots.
	Key string
	// First is set for the first mount of a volume: a pod waits for it. Its calls get slots before those
	// of a republish, and are repeated as long as there is time while AWS throttles them.
	First bool
}

type tenantKey struct{}

// WithTenant gives a context whose calls to AWS are made for t. Calls without a tenant share one, and
// are those of a republish.
func WithTenant(ctx context.Context, t Tenant) context.Context {
	return context.WithValue(ctx, tenantKey{}, t)
}

func tenantOf(ctx context.Context) Tenant {
	t, _ := ctx.Value(tenantKey{}).(Tenant)
	return t
}
