package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// limits are what the provider may cost.
type limits struct {
	goMemory    string
	residentMiB float64
	cpu         time.Duration // of one request, on average over a batch
}

const (
	// maxCPU is generous: the machine may be slow. A usual request takes less than a millisecond.
	maxCPU = 20 * time.Millisecond
	// batch is how many requests the CPU time is averaged over. A clock tick is 10 ms.
	batch = 2000
	// answerTimeout is how long a response may take: less than the kubelet waits.
	answerTimeout = 90 * time.Second
	// connections that the calls share.
	connections = 4
	// quietTimeout is how long goroutines and descriptors may take to be those of the beginning again: idle
	// connections to AWS are kept for 90 s.
	quietTimeout = 150 * time.Second
	// maxLogPerRequest is the most that the log may grow by a request, on average. At -v=10 it tells all.
	maxLogPerRequest = 4096 // bytes
)

// attack is one run.
type attack struct {
	options
	world     *world
	generator *generator
	provider  *process
	report    *report
	conns     []*grpc.ClientConn
	next      atomic.Int64
}

func run(ctx context.Context, o options, out io.Writer) error {
	w, err := openWorld(o)
	if err != nil {
		return err
	}
	defer w.close()
	a := &attack{options: o, world: w, generator: newGenerator(w, o), report: newReport()}
	if a.provider, err = startProvider(ctx, o, w, a.report); err != nil {
		return err
	}
	err = a.measure(ctx)
	err = errors.Join(err, a.provider.stop())
	a.report.print(out)
	switch {
	case err != nil:
		return err
	case a.report.violations > 0:
		return fmt.Errorf("%d violations, with --seed %d", a.report.violations, o.seed)
	}
	return nil
}

// baseline is what a provider holds.
type baseline struct {
	samples    map[string]float64
	goroutines float64
	open       float64
	pid        int
}

func (a *attack) look(ctx context.Context) (baseline, []byte, error) {
	samples, text, err := a.provider.metrics(ctx)
	return baseline{samples: samples, goroutines: samples["go_goroutines"], open: samples["process_open_fds"], pid: a.provider.pid()}, text, err
}

func (a *attack) measure(ctx context.Context) error {
	if err := a.warm(ctx); err != nil {
		return err
	}
	before, _, err := a.look(ctx)
	if err != nil {
		return err
	}
	if a.conns, err = dialCalls(a.provider.socket, connections); err != nil {
		return err
	}
	started := time.Now()
	used, err := a.provider.cpuTime()
	if err != nil {
		return err
	}
	watching, unwatch := context.WithCancel(ctx)
	var watcher, workers sync.WaitGroup
	watcher.Go(func() { a.watch(watching) })
	for range a.workers {
		workers.Go(func() { a.work(ctx) })
	}
	workers.Wait()
	unwatch()
	watcher.Wait()
	took := time.Since(started)
	for _, conn := range a.conns {
		_ = conn.Close() // it has no state to lose
	}
	if !a.provider.alive() {
		return fmt.Errorf("the provider has ended: %s", a.provider.log.end())
	}
	now, err := a.provider.cpuTime()
	if err != nil {
		return err
	}
	done := a.report.count()
	a.report.figure("%d requests in %s, %.0f /s; CPU of the provider per request %.3f ms", done, took.Round(time.Second), float64(done)/took.Seconds(),
		float64((now-used).Microseconds())/1000/float64(max(done, 1)))
	a.judgeMemory()
	a.judgeLog(done)
	return errors.Join(ctx.Err(), a.judgeRest(ctx, before))
}

// warm makes the connections to AWS that stay.
func (a *attack) warm(ctx context.Context) error {
	conns, err := dialCalls(a.provider.socket, 1)
	if err != nil {
		return err
	}
	a.conns = conns
	s := newGenerator(a.world, options{kinds: []string{"valid"}})
	for n := range 50 {
		a.send(ctx, newReport(), s.request(n))
	}
	return conns[0].Close()
}

func (a *attack) work(ctx context.Context) {
	for ctx.Err() == nil && a.provider.alive() {
		n := a.next.Add(1) - 1
		if n >= int64(a.requests) {
			return
		}
		a.send(ctx, a.report, a.generator.request(a.first+int(n)))
	}
}

// send sends one request and judges what comes back.
func (a *attack) send(whole context.Context, r *report, in input) {
	ctx, cancel := context.WithTimeout(whole, answerTimeout)
	defer cancel()
	o := outcome{number: in.number, kind: in.kind}
	violate := func(err error) {
		r.violate("request %d (%s): %v (repeat: --seed %d --first %d --requests 1)", in.number, in.kind, err, a.seed, in.number)
	}
	started := time.Now()
	if in.raw != nil {
		replies, err := sendRaw(ctx, a.provider.socket, in.raw)
		o.took, o.code = time.Since(started), "raw"
		if err != nil {
			violate(err)
		}
		for _, reply := range replies {
			if in.timed && reply.code == codes.DeadlineExceeded { // the caller's own time is over
				continue
			}
			if err := judgeStatus(reply.code, reply.message); err != nil {
				violate(err)
			}
		}
		r.add(o)
		return
	}
	var payload []byte
	err := a.conns[in.number%len(a.conns)].Invoke(ctx, in.method, in.payload, &payload)
	o.took, o.code = time.Since(started), status.Code(err).String()
	switch {
	case err != nil:
		s := status.Convert(err)
		o.stage = stageOf(s.Code(), s.Message())
		err = judgeStatus(s.Code(), s.Message())
	case in.method == methodMount:
		o.stage = mounted
		err = judgeFiles(payload, a.world.tenants[in.tenant])
	default:
		o.stage = atVersion
	}
	if whole.Err() != nil { // the run was ended
		return
	}
	if err != nil {
		violate(err)
	}
	r.add(o)
}

// watch holds every batch to the bound of CPU time, and keeps the simulator's log of calls from growing.
func (a *attack) watch(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var most time.Duration
	done := 0
	used, err := a.provider.cpuTime()
	for err == nil {
		select {
		case <-ctx.Done():
			a.report.figure("CPU of the provider per request in the worst batch of %d: %.3f ms", batch, float64(most.Microseconds())/1000)
			return
		case <-tick.C:
		}
		if n := a.report.count() - done; n >= batch {
			var now time.Duration
			if now, err = a.provider.cpuTime(); err != nil {
				break
			}
			each := (now - used) / time.Duration(n)
			most = max(most, each)
			if each > a.limits.cpu {
				a.report.violate("requests %d to %d took %s of CPU time each", a.first+done, a.first+done+n, each)
			}
			done, used = done+n, now
			a.world.aws.ResetCalls()
		}
	}
	a.report.violate("the provider cannot be watched: %v", err)
}

func (a *attack) judgeMemory() {
	peak, err := a.provider.peakMiB()
	if err != nil {
		a.report.violate("the provider cannot be watched: %v", err)
	}
	a.report.figure("peak resident memory %.1f MiB with GOMEMLIMIT %s", peak, a.limits.goMemory)
	if peak > a.limits.residentMiB {
		a.report.violate("the provider took %.1f MiB of memory, more than %.0f", peak, a.limits.residentMiB)
	}
}

func (a *attack) judgeLog(done int) {
	lines, bytes, longest := a.provider.log.size()
	each := float64(bytes) / float64(max(done, 1))
	a.report.figure("log: %d lines, %.0f bytes per request, the longest line %d bytes", lines, each, longest)
	if each > maxLogPerRequest && done >= batch {
		a.report.violate("the log grows by %.0f bytes per request", each)
	}
}

// judgeRest holds what stays to what was there before: goroutines, descriptors, the process itself, and that it
// still serves. The metrics may show nothing secret.
func (a *attack) judgeRest(ctx context.Context, before baseline) error {
	const slack = 16 // connections to AWS and to the API server that are kept for a while
	var after baseline
	for deadline := time.Now().Add(quietTimeout); ; {
		var text []byte
		var err error
		if after, text, err = a.look(ctx); err != nil {
			return fmt.Errorf("read the metrics: %w: %s", err, a.provider.log.end())
		}
		if where, found := leak(text); found {
			a.report.violate("the metrics show a secret: %s", where)
		}
		if after.goroutines <= before.goroutines+slack && after.open <= before.open+slack {
			break
		}
		if time.Now().After(deadline) {
			a.report.violate("%.0f goroutines and %.0f descriptors are left, of %.0f and %.0f before", after.goroutines, after.open, before.goroutines, before.open)
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	a.report.figure("goroutines %.0f before and %.0f after, descriptors %.0f and %.0f", before.goroutines, after.goroutines, before.open, after.open)
	judgeCounts(a.report, before.samples, after.samples)
	conns, err := dialCalls(a.provider.socket, 1)
	if err != nil {
		return err
	}
	defer func() { _ = conns[0].Close() }()
	a.conns = conns
	last := newReport()
	a.send(ctx, last, a.world.usual())
	if last.reached(mounted) != 1 {
		a.report.violate("a usual request is not mounted after all: %s", slices.Concat(last.listed, []string{a.provider.log.end()}))
	}
	if !a.provider.alive() || after.pid != before.pid {
		a.report.violate("the process is not the one that was started")
	}
	return nil
}
