package awsclient

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Bounds of a pace. A throttled identity starts at startRate, each throttled attempt halves its rate down to
// minRate, and each success adds growth, so that the rate doubles in less than a second where nothing is throttled.
const (
	startRate = 10.0 // attempts per second
	minRate   = 1.0  // attempts per second
	growth    = 1.0  // attempts per second, for each success
	// paceLasts is how long after the last throttled attempt a pace is kept.
	paceLasts = 10 * time.Second
)

// pace limits how fast attempts are sent once AWS has throttled one: additive increase, multiplicative decrease.
// Before that it limits nothing.
type pace struct {
	turn chan struct{} // held by the attempt that goes next, so that one timer runs and not one for each

	mu     sync.Mutex
	rate   float64   // attempts per second; 0: not limited
	next   time.Time // when the next attempt may be sent
	slowed time.Time // when rate was last lowered
	cause  error     // the last throttled attempt's
}

func newPace() *pace { return &pace{turn: make(chan struct{}, 1)} }

// wait waits until an attempt may be sent. It reports false, without an attempt sent, once that would be
// after ctx's deadline, or ctx has ended.
func (p *pace) wait(ctx context.Context) bool {
	if !p.limited() {
		return true
	}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-p.turn }()
	for {
		next, ok := p.take()
		if ok {
			return true
		}
		if !sleepUntil(ctx, next) {
			return false
		}
	}
}

func (p *pace) limited() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rate > 0 || time.Now().Before(p.next)
}

// take lets an attempt go, or says when it may.
func (p *pace) take() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.slowed) > paceLasts {
		p.rate, p.cause = 0, nil
	}
	if now.Before(p.next) {
		return p.next, false
	}
	if p.rate > 0 {
		p.next = now.Add(time.Duration((0.5 + rand.Float64()) / p.rate * float64(time.Second))) //nolint:gosec // spreads load, guards nothing
	}
	return now, true
}

// throttled slows down after an attempt that was sent at that time and failed with err. AWS wants no other for
// as long as hold. Attempts that were under way when the rate was lowered do not lower it again.
func (p *pace) throttled(sent time.Time, err error, hold time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if held := now.Add(hold); held.After(p.next) {
		p.next = held
	}
	p.cause = err
	switch {
	case p.rate == 0:
		p.rate = startRate
	case sent.After(p.slowed):
		p.rate = max(p.rate/2, minRate)
	default:
		return
	}
	p.slowed = now
}

// succeeded speeds up after an attempt that AWS has served.
func (p *pace) succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rate > 0 {
		p.rate += growth
	}
}

// lastCause is why attempts are limited: the error of the last throttled attempt, or nil.
func (p *pace) lastCause() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause
}

// sleepUntil waits until then. It reports false, at once, where that is after ctx's deadline, and once ctx ends.
func sleepUntil(ctx context.Context, then time.Time) bool {
	if deadline, ok := ctx.Deadline(); ok && then.After(deadline) {
		return false
	}
	timer := time.NewTimer(time.Until(then))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
