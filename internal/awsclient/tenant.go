package awsclient

import "context"

// Tenant is who a call to AWS is made for.
type Tenant struct {
	// Key is the identity as a text that no other identity has, such as auth.Identity.Key gives. Calls
	// of one key share their retry state.
	Key string
	// Queue names who takes turns for the slots: the ServiceAccount. A pod author can have many identities, by
	// roles and external ids, and gets no more turns for it.
	Queue string
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
