package awsclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"secrets-provider-aws/internal/awsclient"
)

// gate is AWS in memory that blocks each call until the test releases it. Without a network testing/synctest can
// wait until every call is blocked.
type gate struct {
	leave chan struct{} // a send releases one call, close releases all

	mu   sync.Mutex
	held int
}

func newGate() *gate { return &gate{leave: make(chan struct{})} }

// Do responds when the test releases the request.
func (g *gate) Do(r *http.Request) (*http.Response, error) {
	g.count(1)
	defer g.count(-1)
	select {
	case <-g.leave:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body: io.NopCloser(strings.NewReader(`{"SecretString":"v","VersionId":"1"}`)), Request: r,
	}, nil
}

func (g *gate) count(by int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held += by
}

// holding waits until all goroutines are blocked and returns the number of blocked calls.
func (g *gate) holding() int {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// behind loads a configuration that sends its calls to the gate.
func (g *gate) behind(t *testing.T, o awsclient.Options) aws.Config {
	t.Helper()
	o.MaxAttempts = 1
	cfg := load(t, o)
	cfg.HTTPClient, cfg.Credentials = g, pod
	return cfg
}

func TestF24_CallsAtATimeAreBounded(t *testing.T) {
	setenv(t, nil)
	for name, options := range map[string]awsclient.Options{"3": {MaxCalls: 3}, "32 where nothing is said": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const calls = 50
				bound := 32
				if options.MaxCalls > 0 {
					bound = int(options.MaxCalls)
				}
				g := newGate()
				cfg := g.behind(t, options)
				// Two services and two regions: the bound is the process's. Many tenants use all of it.
				var all sync.WaitGroup
				for i := range calls {
					cfg := cfg
					cfg.Region = []string{region, "eu-west-1"}[i/2%2]
					read := []func(context.Context, aws.Config) error{readSecret, readParameter}[i%2]
					all.Go(func() {
						if err := read(as(t.Context(), fmt.Sprint(i%10)), cfg); err != nil {
							t.Errorf("call %d: %v", i, err)
						}
					})
				}
				for left := calls; left > 0; left-- {
					got, want := g.holding(), min(bound, left)
					// What is left at the end can be one region's, which may not have all slots.
					if plenty := bound > calls/2 || left > calls/2+bound; got > want || plenty && got < want {
						t.Errorf("%d calls at a time with %d to go, want %d", got, left, want)
						break
					}
					g.leave <- struct{}{}
				}
				close(g.leave)
				all.Wait()
			})
		})
	}
}

// A region that hangs leaves slots to those that respond, and its calls in line hold none.
func TestF24_ARegionThatHangsLeavesSlots(t *testing.T) {
	setenv(t, nil)
	for name, tt := range map[string]struct {
		options     awsclient.Options
		one, others int
	}{
		"32 where nothing is said": {awsclient.Options{}, 28, 4}, "8": {awsclient.Options{MaxCalls: 8}, 7, 1}, "1: they share it": {awsclient.Options{MaxCalls: 1}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				g := newGate()
				cfg := g.behind(t, tt.options)
				var all sync.WaitGroup
				call := func(region string) {
					cfg := cfg
					cfg.Region = region
					for i := range 50 {
						all.Go(func() { _ = readSecret(as(ctx, fmt.Sprint(i%10)), cfg) })
					}
				}
				call(region)
				if got := g.holding(); got != tt.one {
					t.Errorf("%d calls at a time to one region, want %d", got, tt.one)
				}
				call("eu-west-1")
				if got := g.holding() - tt.one; got != tt.others {
					t.Errorf("%d calls at a time to another one, want %d", got, tt.others)
				}
				cancel()
				all.Wait()
			})
		})
	}
}

// A call that waits for a slot gives up with its context, and leaves the slot to others.
func TestF24_WaitingForASlotEndsWithTheContext(t *testing.T) {
	setenv(t, nil)
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		client := secretsmanager.NewFromConfig(g.behind(t, awsclient.Options{MaxCalls: 1}))
		get := func(ctx context.Context) <-chan error {
			done := make(chan error, 1)
			go func() {
				_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
				done <- err
			}()
			synctest.Wait()
			return done
		}
		first := get(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		second := get(ctx)
		if n := g.holding(); n != 1 {
			t.Errorf("%d calls at a time, want 1", n)
		}
		cancel()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("the call that waited: error %v, want context.Canceled", err)
		}
		third := get(t.Context())
		close(g.leave)
		for _, done := range []<-chan error{first, third} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestRegional_OpensEachRegionOnce(t *testing.T) {
	type client struct{ region string }
	opened := map[string]int{}
	r := awsclient.NewRegional(func(region string) *client {
		opened[region]++
		return &client{region}
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for _, name := range []string{"eu-west-1", "eu-west-2"} {
				if got := r.In(name); got.region != name {
					t.Errorf("client of %s, want %s", got.region, name)
				}
			}
		})
	}
	all.Wait()
	if opened["eu-west-1"] != 1 || opened["eu-west-2"] != 1 {
		t.Errorf("opened %v, want each once", opened)
	}
	if one, again := r.In("eu-west-1"), r.In("eu-west-1"); one != again {
		t.Error("two clients of one region")
	}
}

// Pod authors choose the region names, so the number of clients in memory has a limit.
func TestT33_ClientsOfRegionsAreBounded(t *testing.T) {
	opened := 0
	r := awsclient.NewRegional(func(string) *int { opened++; return new(int) })
	name := func(i int) string { return "region-" + string(rune('a'+i%26)) + string(rune('a'+i/26)) }
	for i := range 64 {
		r.In(name(i))
	}
	for i := range 64 {
		r.In(name(i))
	}
	if opened != 64 {
		t.Errorf("64 regions, twice: opened %d clients, want 64", opened)
	}
	r.In(name(64)) // one more than the limit: all clients are dropped
	r.In(name(64))
	r.In(name(0))
	if opened != 66 {
		t.Errorf("opened %d clients, want 66: the old clients must be dropped", opened)
	}
}
