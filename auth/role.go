package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"secrets-provider-aws/internal/fault"
)

const (
	// roleFresh is how long a cached annotation is used.
	roleFresh = 30 * time.Second
	// maxRoles is more than the ServiceAccounts of any node.
	maxRoles = 4096
	// maxLookup is the timeout of one call to the API server. The call outlives the mount request that started it.
	maxLookup = 10 * time.Second
)

// roles caches the annotated roles of ServiceAccounts, by "namespace/name".
type roles struct {
	known   *otter.Cache[string, seenRole]
	lookups singleflight.Group
	now     func() time.Time
}

type seenRole struct {
	arn  string
	seen time.Time
}

func newRoles(now func() time.Time) (*roles, error) {
	known, err := otter.New(&otter.Options[string, seenRole]{
		MaximumSize: maxRoles,
		Clock:       clock{now},
		Executor:    func(task func()) { task() },
	})
	if err != nil {
		return nil, fmt.Errorf("make the role cache: %w", err)
	}
	return &roles{known: known, now: now}, nil
}

// role returns the annotated role of the pod's ServiceAccount, at most roleFresh old. While the API server does not
// respond, it returns the last known role.
func (a *Authenticator) role(ctx context.Context, pod Pod) (string, error) {
	name := pod.Namespace + "/" + pod.ServiceAccount
	known, ok := a.roles.known.GetIfPresent(name)
	if ok && a.now().Sub(known.seen) < roleFresh {
		return known.arn, nil
	}
	looked := a.roles.lookups.DoChan(name, func() (_ any, err error) {
		defer fault.Recover(&err)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxLookup)
		defer cancel()
		seen := a.now()
		arn, err := a.annotatedRole(ctx, pod)
		a.log.LogAttrs(ctx, slog.LevelDebug, "ServiceAccount read from the API server", slog.String("service_account", name),
			slog.Duration("duration", a.now().Sub(seen)), slog.String("outcome", outcome(err)))
		switch {
		case err == nil:
			a.roles.known.Set(name, seenRole{arn: arn, seen: seen})
		case fault.KindOf(err) != fault.Transient:
			a.roles.known.Invalidate(name) // the annotation or the ServiceAccount is gone
		}
		return arn, err
	})
	var err error
	select {
	case r := <-looked:
		if r.Err == nil {
			arn, _ := r.Val.(string)
			return arn, nil
		}
		err = r.Err
	case <-ctx.Done():
		err = &fault.Error{Kind: fault.Transient, What: "cannot read ServiceAccount " + name, Why: "the API server does not respond in time", Cause: ctx.Err()}
	}
	if ok && fault.KindOf(err) == fault.Transient {
		return known.arn, nil
	}
	return "", err
}
