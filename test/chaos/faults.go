package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"secrets-provider-aws/test/awssim"
)

// wait sleeps, or ends early with ctx.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// play has a fault happen, from its start to its end.
func (w *world) play(ctx context.Context, f fault) error {
	wait(ctx, f.start)
	if ctx.Err() != nil {
		return nil
	}
	switch f.kind {
	case kill, terminate, second, secondKilled:
		return w.playProcess(ctx, f)
	}
	end := w.troubles.begin(f)
	defer end()
	undo, err := w.inflict(f)
	if f.target == toSTS {
		w.expireSessions()
	}
	wait(ctx, f.lasts)
	return errors.Join(err, undo())
}

// inflict begins a fault that only has to be undone.
func (w *world) inflict(f fault) (undo func() error, err error) {
	none := func() error { return nil }
	switch f.kind {
	case apiError:
		w.kube.Refuse("serviceaccounts", f.status)
		return func() error { w.kube.Refuse("serviceaccounts", 0); return nil }, nil
	case apiAway, netCut:
		return w.onLink(f, (*link).cut), nil
	case apiSlow, netDelay:
		return w.onLink(f, func(l *link) { l.slow(f.amount) }), nil
	case netHalfOpen:
		return w.onLink(f, func(l *link) { l.silence(false) }), nil
	case netBlackHole:
		return w.onLink(f, func(l *link) { l.silence(true) }), nil
	case denied:
		return func() error { return w.allow(f.identity) }, w.deny(f.identity)
	case awsClock:
		w.awsJump.Store(int64(f.amount))
		return func() error { w.awsJump.Store(0); return nil }, nil
	case tokenClock:
		w.tokenJump.Store(int64(f.amount))
		return func() error { w.tokenJump.Store(0); return nil }, nil
	case pause:
		p := w.current()
		p.signal(syscall.SIGSTOP)
		return func() error { p.signal(syscall.SIGCONT); return nil }, nil
	case removeSocket:
		return none, ignoreMissing(os.Remove(w.volume + "/aws.sock"))
	case removeDir:
		return func() error { return os.MkdirAll(w.volume, 0o755) }, w.removeVolume()
	case loseDir:
		return none, w.removeVolume()
	default:
		return w.injectAWS(f), nil
	}
}

// expireSessions has AWS take some sessions for expired, so that STS is asked for new ones now and not in an hour.
func (w *world) expireSessions() {
	w.aws.Inject(awssim.Fault{Service: string(toSecrets), Status: 400, Code: "ExpiredTokenException", Count: len(identities)})
}

// removeVolume removes the provider volume. The provider may put its socket back meanwhile: then once more.
func (w *world) removeVolume() error {
	err := os.RemoveAll(w.volume)
	for range 3 {
		if err == nil {
			break
		}
		err = os.RemoveAll(w.volume)
	}
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (w *world) onLink(f fault, do func(*link)) (undo func() error) {
	l := map[target]*link{toReads: w.reads, toSTS: w.sts, toAPI: w.api}[f.target]
	do(l)
	return func() error { l.mend(); return nil }
}

// injectAWS has the simulator misbehave.
func (w *world) injectAWS(f fault) (undo func() error) {
	services := []string{string(f.target)}
	if f.target == toReads {
		services = []string{string(toSecrets), string(toParameters)}
	}
	var removes []func()
	for _, service := range services {
		injected := awssim.Fault{Service: service, Region: f.region}
		switch f.kind {
		case awsLatency, stsLatency:
			injected.Latency = f.amount
		case awsError, stsError, longOutage:
			injected.Status = f.status
		case awsThrottle:
			injected.Status, injected.Code = 400, "ThrottlingException"
		case stsThrottle:
			injected.Status, injected.Code = 400, "Throttling"
		case awsHang, stsHang, longSilence:
			injected.Hang = true
		case awsCut, stsCut:
			injected.Cut = true
		default:
			panic("no such fault: " + f.kind)
		}
		removes = append(removes, w.aws.Inject(injected))
	}
	return func() error {
		for _, remove := range removes {
			remove()
		}
		return nil
	}
}

// playProcess ends and starts processes. lasts is how long the node has no provider, or two.
func (w *world) playProcess(ctx context.Context, f fault) error {
	end := w.troubles.begin(f)
	switch f.kind {
	case kill:
		defer end()
		w.epoch.Add(1)
		w.current().kill()
		wait(ctx, f.lasts)
		return errors.Join(w.start(ctx), answers(ctx, w.volume))
	case terminate:
		w.leave(w.current(), end)
		wait(ctx, f.lasts)
		return errors.Join(w.start(ctx), answers(ctx, w.volume))
	}
	w.unstable.Add(1)
	defer w.unstable.Add(-1)
	p, err := w.launch(ctx)
	if err != nil {
		end()
		return err
	}
	wait(ctx, f.lasts)
	w.epoch.Add(1)
	if f.kind == secondKilled {
		defer end()
		p.kill()
		return answers(ctx, w.volume)
	}
	w.leave(p, end)
	return answers(ctx, w.volume)
}
