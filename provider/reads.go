package provider

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/errgroup"

	"secrets-provider-aws/provider/fault"
)

// readsPerVolume is how many calls for one volume run at a time: fewer than the process has places,
// so that one volume cannot take them all. Of two regions each has half, and does not wait for the other's.
const readsPerVolume = 24

// flight is a read under way. landed is closed when value and err are set.
type flight struct {
	key     key
	started time.Time
	hurried bool // it ends early, as something else can stand in for it
	landed  chan struct{}
	value   value
	err     error
}

// answer is what AWS gave for one read.
type answer struct {
	value value
	err   error
}

// want is one value that a mount waits for: known already, refused already, or on a flight.
type want struct {
	key    key
	known  record
	err    error
	flight *flight

	hurries bool // something else can stand in for what flight brings
}

// claim decides for each key, at one moment, whether memory serves it, whether a read under way does,
// or whether this mount begins one. What it begins goes on when the mount gives up: others may wait for it.
func (f *Fetcher) claim(ctx context.Context, req Request, keys []key, v visit) []want {
	wants := make([]want, len(keys))
	var begun []*flight
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, k := range keys {
		known := f.memory.record(k)
		hurries := known.hurries(v, f.now(), f.maxStale)
		wants[i] = want{key: k, known: known, hurries: hurries}
		under := f.flights[k]
		switch {
		case known.serves(v, k.pinned()):
		case known.backedOff(v):
			wants[i].err = known.err
		case under != nil && joins(under.started, under.hurried, hurries, v):
			wants[i].flight = under
		default:
			fl := &flight{key: k, started: f.now(), hurried: hurries, landed: make(chan struct{})}
			f.flights[k] = fl
			wants[i].flight = fl
			begun = append(begun, fl)
		}
	}
	if len(begun) > 0 {
		go f.fly(ctx, req, v, begun)
	}
	return wants
}

// fly makes the reads that flights were begun for, and lands every one of them.
func (f *Fetcher) fly(ctx context.Context, req Request, v visit, flights []*flight) {
	ctx, cancel := detached(ctx)
	defer cancel()
	err := f.try(ctx, req, v, flights)
	if again := up(flights); err == nil && len(again) > 0 {
		req.Credentials.Forget() // AWS does not take them any more: once more, with new ones
		err = f.try(ctx, req, v, again)
	}
	for _, fl := range up(flights) {
		f.land(fl, v, answer{err: cmp.Or(err, fl.err)})
	}
}

// try reads and lands flights, except those that AWS refused because of the credentials. Its error is that
// of getting credentials, or a panic.
func (f *Fetcher) try(ctx context.Context, req Request, v visit, flights []*flight) (err error) {
	defer fault.Recover(&err)
	session, err := req.Credentials.Retrieve(ctx)
	if err != nil {
		if fault.KindOf(err) == fault.Credentials {
			f.memory.forget(req.Owner)
		}
		return err
	}
	credentials := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return session, nil })
	var parts errgroup.Group
	for _, region := range req.Class.Regions() {
		for _, hurried := range []bool{true, false} {
			part := slices.DeleteFunc(slices.Clone(flights), func(fl *flight) bool { return fl.key.region != region || fl.hurried != hurried })
			if len(part) == 0 {
				continue
			}
			parts.Go(func() (panicked error) {
				defer fault.Recover(&panicked)
				return f.readIn(ctx, credentials, region, hurried, part, v)
			})
		}
	}
	return parts.Wait()
}

// readIn reads and lands flights to one region, all of them hurried or none. Its error is a panic.
func (f *Fetcher) readIn(ctx context.Context, credentials aws.CredentialsProvider, region string, hurried bool, flights []*flight, v visit) error {
	timeUp := func() bool { return false }
	if hurried {
		mount := ctx
		short, cancel := context.WithTimeout(mount, f.patienceWith(region, v))
		defer cancel()
		ctx, timeUp = short, func() bool { return short.Err() != nil && mount.Err() == nil }
	}
	defer func() { f.listen(region, timeUp(), flights) }()
	places := readsPerVolume
	if v.failover {
		places /= 2
	}
	var group errgroup.Group
	group.SetLimit(places)
	for _, together := range f.calls(flights) {
		group.Go(func() (panicked error) {
			growStack()
			defer fault.Recover(&panicked)
			for i, got := range f.ask(ctx, credentials, region, together) {
				if fl := together[i]; fault.KindOf(got.err) == fault.Credentials {
					fl.err = got.err
				} else {
					f.land(fl, v, got)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// patienceFor is how long the hurried reads of a region may take.
func (f *Fetcher) patienceFor(v visit) time.Duration {
	if v.failover {
		return f.patience
	}
	return stalePatience
}

// patienceWith is the same of a region that may be silent.
func (f *Fetcher) patienceWith(region string, v visit) time.Duration {
	if f.silent.knows(region) {
		return min(f.patienceFor(v), shortPatience)
	}
	return f.patienceFor(v)
}

// listen notes whether a region is silent: its time is up, and not one of flights came back with anything.
func (f *Fetcher) listen(region string, timeUp bool, flights []*flight) {
	answered := func(fl *flight) bool { return !errors.Is(fl.err, context.DeadlineExceeded) }
	switch {
	case slices.ContainsFunc(flights, answered):
		f.silent.remove(region)
	case timeUp:
		f.silent.add(region)
	}
}

// growStack makes the goroutine's stack as large as a call of the SDK takes, at once. Grown by the call it
// would be copied three times over, with ever more on it.
//
//go:noinline
func growStack() {
	var room [20 << 10]byte
	runtime.KeepAlive(&room)
}

// calls shares flights out to calls to AWS.
func (f *Fetcher) calls(flights []*flight) [][]*flight {
	var calls [][]*flight
	var parameters, secrets []*flight
	for _, fl := range flights {
		switch {
		case fl.key.kind == SSMParameter:
			parameters = append(parameters, fl)
		case f.batch && fl.key.version == "" && fl.key.label == "":
			secrets = append(secrets, fl)
		default:
			calls = append(calls, []*flight{fl})
		}
	}
	calls = append(calls, slices.Collect(slices.Chunk(secrets, secretsPerCall))...)
	return append(calls, batchParameters(parameters)...)
}

// ask makes one call, for reads of one kind, and gives an answer for each.
func (f *Fetcher) ask(ctx context.Context, credentials aws.CredentialsProvider, region string, together []*flight) []answer {
	reads := make([]read, len(together))
	for i, fl := range together {
		reads[i] = fl.key.read
	}
	switch {
	case reads[0].kind == SSMParameter:
		return f.readParameters(ctx, credentials, region, reads)
	case len(reads) > 1:
		return f.readSecrets(ctx, credentials, region, reads)
	default:
		return []answer{f.readSecret(ctx, credentials, region, reads[0])}
	}
}

// land puts what a read gave into memory, then lets those go on who wait for it.
func (f *Fetcher) land(fl *flight, v visit, got answer) {
	fl.value, fl.err = got.value, got.err
	f.memory.update(fl.key, v.interval, func(r record) record {
		if got.err != nil {
			return r.failed(got.err, fl.started, f.now())
		}
		return r.succeeded(got.value, fl.started)
	})
	f.mu.Lock()
	if f.flights[fl.key] == fl {
		delete(f.flights, fl.key)
	}
	f.mu.Unlock()
	close(fl.landed)
}

// up are the flights that have not landed.
func up(flights []*flight) []*flight {
	return slices.DeleteFunc(slices.Clone(flights), func(fl *flight) bool {
		select {
		case <-fl.landed:
			return true
		default:
			return false
		}
	})
}

// detached keeps the deadline of a mount and not its end.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	free := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(free, deadline)
	}
	return context.WithCancel(free)
}
