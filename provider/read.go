package provider

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/internal/tracing"
	"secrets-provider-aws/provider/volume"
)

// read calls AWS for reads of one region that a request has started, and completes every one of them. memory is for
// their values; what they do not need goes back.
func (s *sharedReads) read(ctx context.Context, req Request, reads []*inFlightRead, memory *bytebudget.Reservation, m mount) {
	defer req.Memory.Close()
	defer func() {
		var bytes int64
		for _, r := range reads {
			bytes += int64(r.value.Length())
		}
		memory.Close(bytes)
	}()
	ctx, cancel := detached(ctx)
	defer cancel()
	ctx = awsclient.WithTenant(ctx, awsclient.Tenant{Key: string(req.Owner), Queue: req.Tenant, First: m.first})
	err := s.try(ctx, req, reads, m)
	if again := slices.DeleteFunc(slices.Clone(reads), (*inFlightRead).completed); err == nil && len(again) > 0 {
		req.Credentials.Forget() // AWS no longer accepts them: once more, with new ones
		err = s.try(ctx, req, again, m)
	}
	for _, r := range reads {
		if !r.completed() {
			s.complete(r, m, volume.Value{}, cmp.Or(err, r.err))
		}
	}
}

// try completes reads, except those that AWS refused because of the credentials. Its error is that of getting
// credentials, or a panic.
func (s *sharedReads) try(ctx context.Context, req Request, reads []*inFlightRead, m mount) (err error) {
	defer fault.Recover(&err)
	session, err := req.Credentials.Retrieve(ctx)
	if err != nil {
		if fault.KindOf(err) == fault.Credentials {
			s.cache.forget(req.Owner)
		}
		return err
	}
	credentials := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return session, nil })
	var parts errgroup.Group
	for _, short := range []bool{true, false} {
		part := slices.DeleteFunc(slices.Clone(reads), func(r *inFlightRead) bool { return r.short != short })
		if len(part) == 0 {
			continue
		}
		parts.Go(func() (panicked error) {
			defer fault.Recover(&panicked)
			return s.readIn(ctx, credentials, part[0].target.region, short, part, m)
		})
	}
	return parts.Wait()
}

// readIn completes the reads of one region, all with the short timeout or none. Its error is a panic.
func (s *sharedReads) readIn(ctx context.Context, credentials aws.CredentialsProvider, region string, short bool, reads []*inFlightRead, m mount) error {
	limited := ctx
	if short {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, s.breaker.shortTimeoutIn(region, m))
		defer cancel()
	}
	defer func() {
		responded := slices.ContainsFunc(reads, func(r *inFlightRead) bool { return !errors.Is(r.err, context.DeadlineExceeded) })
		s.breaker.record(region, responded, limited.Err() != nil && ctx.Err() == nil)
	}()
	targets := make([]target, len(reads))
	for i, r := range reads {
		targets[i] = r.target
	}
	var group errgroup.Group
	room := semaphore.NewWeighted(int64(callsPerVolume(m)))
	for _, indexes := range s.backend.calls(targets) {
		weight := min(s.backend.weight(targets, indexes), int64(callsPerVolume(m)))
		_ = room.Acquire(context.WithoutCancel(ctx), weight) // the calls under way end with ctx, and these complete their reads
		group.Go(func() (panicked error) {
			defer room.Release(weight)
			growStack()
			defer fault.Recover(&panicked)
			together := make([]*inFlightRead, len(indexes))
			for n, i := range indexes {
				together[n] = reads[i]
			}
			if together = s.wanted(together); len(together) > 0 {
				s.call(limited, credentials, together, m)
			}
			return nil
		})
	}
	return group.Wait()
}

// call completes reads that one call makes, except those that AWS refused because of the credentials.
func (s *sharedReads) call(ctx context.Context, credentials aws.CredentialsProvider, reads []*inFlightRead, m mount) {
	targets := make([]target, len(reads))
	for i, r := range reads {
		targets[i] = r.target
	}
	if tracing.WantsObjects(ctx) {
		ctx = tracing.WithObjects(ctx, namesOf(targets))
	}
	for i, got := range s.backend.call(ctx, credentials, targets) {
		if r := reads[i]; fault.KindOf(got.err) == fault.Credentials {
			r.err = got.err
		} else {
			s.complete(r, m, got.value, got.err)
		}
	}
}

// namesOf are the names of targets, for a trace.
func namesOf(targets []target) []string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.name
	}
	return names
}

// growStack makes the goroutine's stack as large as a call of the SDK needs, at once. The call itself would
// copy it three times, with more on it each time.
//
//go:noinline
func growStack() {
	var room [20 << 10]byte
	runtime.KeepAlive(&room)
}

// callLimit is how many calls for one volume run at a time: fewer than the process may make, so that one volume cannot
// use them all.
const callLimit = 24

// callsPerVolume is how many of these one region has: half where there are two, so that neither waits for the other.
func callsPerVolume(m mount) int {
	if m.failover {
		return callLimit / 2
	}
	return callLimit
}

// detached keeps the deadline of a request and not its end.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	free := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(free, deadline)
	}
	return context.WithCancel(free)
}
