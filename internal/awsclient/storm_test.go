package awsclient_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"secrets-provider-aws/internal/awsclient"
)

// quota is a bucket of tokens, those of one second at first.
type quota struct {
	rate float64 // tokens per second

	mu     sync.Mutex
	tokens float64
	filled time.Time
}

func newQuota(rate float64) *quota { return &quota{rate: rate, tokens: rate, filled: time.Now()} }

func (q *quota) take() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.tokens, q.filled = min(q.tokens+now.Sub(q.filled).Seconds()*q.rate, q.rate), now
	if q.tokens < 1 {
		return false
	}
	q.tokens--
	return true
}

// floor is how long so many calls take at least.
func (q *quota) floor(calls int) time.Duration {
	return time.Duration((float64(calls)/q.rate - 1) * float64(time.Second))
}

// Nodes start their pods at once, against the quotas of the account: no mount fails, and they take little longer
// than the quotas want. The time is the test's own, so that it depends on no machine.
//
// With three times as many goroutines, one run of ten ends in a failed check of the race detector's own runtime
// (ThreadSanitizer: CHECK failed: tsan_rtl.cpp). The storm benchmark has more nodes.
func TestT2_NodesStartAgainstQuotas(t *testing.T) {
	setenv(t, nil)
	for name, tt := range map[string]struct {
		nodes, pods, accounts, secrets int
		sts, reads                     float64 // quotas, per second
	}{
		"STS is short":                {5, 30, 24, 3, 15, 62.5},
		"reads are short":             {5, 15, 5, 3, 300, 15},
		"one identity has many reads": {1, 20, 1, 50, 60, 50},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exchanges, reads := newQuota(tt.sts), newQuota(tt.reads)
				a := &account{delay: 20 * time.Millisecond, respond: func(r request) response {
					if r.service == "sts" && exchanges.take() || r.service != "sts" && reads.take() {
						return response{}
					}
					return throttled
				}}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var (
					running sync.WaitGroup
					failed  atomic.Int64
				)
				started := time.Now()
				for node := range tt.nodes {
					cfg := a.config(t, awsclient.Options{})
					for account := range tt.accounts {
						ctx := as(ctx, fmt.Sprint(node, account))
						running.Go(func() {
							if err := exchange(ctx, cfg); err != nil {
								failed.Add(1)
								return
							}
							for pod := account; pod < tt.pods; pod += tt.accounts {
								slots := make(chan struct{}, 24) // as a volume has
								for range tt.secrets {
									running.Go(func() {
										slots <- struct{}{}
										defer func() { <-slots }()
										if err := readSecret(ctx, cfg); err != nil {
											failed.Add(1)
										}
									})
								}
							}
						})
					}
				}
				running.Wait()
				took := time.Since(started)
				floor := max(exchanges.floor(tt.nodes*tt.accounts), reads.floor(tt.nodes*tt.pods*tt.secrets))
				t.Logf("took %v, floor %v, %d requests", took, floor, len(a.requests))
				if n := failed.Load(); n > 0 {
					t.Errorf("%d calls failed, want none", n)
				}
				if took > floor*14/10 {
					t.Errorf("took %v, want at most 1.4 times %v", took, floor)
				}
			})
		})
	}
}
