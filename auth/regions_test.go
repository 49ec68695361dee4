package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"secrets-provider-aws/internal/fault"
)

// stsResponse is the behaviour of STS in one region: it returns credentials or an error after a delay.
type stsResponse struct {
	after time.Duration // forever: no response
	kind  fault.Kind    // of the failure
	fails bool
}

const forever = time.Hour

// STS in the second region is called when the first fails transiently or does not respond within a second,
// and not earlier. The first credentials win. A failure that is not transient is final.
func TestR12_STSInEitherRegion(t *testing.T) {
	works := stsResponse{after: 20 * time.Millisecond}
	fails := func(after time.Duration, kind fault.Kind) stsResponse { return stsResponse{after, kind, true} }
	for _, tt := range []struct {
		name      string
		first     stsResponse
		second    *stsResponse // nil: one region
		called    []string
		credsFrom string   // empty: inEither fails
		err       []string // parts of the error
		took      time.Duration
	}{
		{name: "the first responds", first: works, second: &works, called: []string{"a"}, credsFrom: "a", took: 20 * time.Millisecond},
		{name: "the first responds just in time", first: stsResponse{after: 999 * time.Millisecond}, second: &works, called: []string{"a"}, credsFrom: "a", took: 999 * time.Millisecond},
		{name: "the first hangs", first: stsResponse{after: forever}, second: &works, called: []string{"a", "b"}, credsFrom: "b", took: 1020 * time.Millisecond},
		{name: "the first is slow, but faster than the second", first: stsResponse{after: 1010 * time.Millisecond}, second: &works, called: []string{"a", "b"}, credsFrom: "a", took: 1010 * time.Millisecond},
		{name: "the first fails", first: fails(5*time.Millisecond, fault.Transient), second: &works, called: []string{"a", "b"}, credsFrom: "b", took: 25 * time.Millisecond},
		{name: "the first refuses", first: fails(5*time.Millisecond, fault.Credentials), second: &works, called: []string{"a"}, err: []string{"in a"}, took: 5 * time.Millisecond},
		{name: "the first hangs, the second refuses", first: stsResponse{after: forever}, second: ptr(fails(0, fault.Credentials)), called: []string{"a", "b"}, err: []string{"in b"}, took: time.Second},
		{name: "the first fails, the second refuses", first: fails(0, fault.Transient), second: ptr(fails(0, fault.Credentials)), called: []string{"a", "b"}, err: []string{"in b"}},
		{name: "the second fails, the first responds later", first: stsResponse{after: 3 * time.Second}, second: ptr(fails(0, fault.Transient)), called: []string{"a", "b"}, credsFrom: "a", took: 3 * time.Second},
		{name: "both fail", first: fails(0, fault.Transient), second: ptr(fails(0, fault.Transient)), called: []string{"a", "b"}, err: []string{"2 failures", "in a", "in b"}},
		{name: "both hang", first: stsResponse{after: forever}, second: &stsResponse{after: forever}, called: []string{"a", "b"}, err: []string{"2 failures", "in a", "in b"}, took: maxExchange},
		{name: "one region that hangs", first: stsResponse{after: forever}, called: []string{"a"}, err: []string{"in a"}, took: maxExchange},
		{name: "one region that fails", first: fails(0, fault.Transient), called: []string{"a"}, err: []string{"in a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				regions := map[string]stsResponse{"a": tt.first}
				names := []string{"a"}
				if tt.second != nil {
					regions["b"], names = *tt.second, []string{"a", "b"}
				}
				called, ended := make(chan string, 2), make(chan string, 2)
				started := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), maxExchange)
				defer cancel()
				c, from, err := inEither(ctx, names, func(ctx context.Context, region string) (aws.Credentials, error) {
					called <- region
					defer func() { ended <- region }()
					response := regions[region]
					if !pause(ctx, response.after) {
						return aws.Credentials{}, &fault.Error{Kind: fault.Transient, What: "x", Region: region, Why: fault.Late}
					}
					if response.fails {
						return aws.Credentials{}, &fault.Error{Kind: response.kind, What: "x", Region: region}
					}
					return aws.Credentials{AccessKeyID: "of " + region}, nil
				})
				took := time.Since(started)
				synctest.Wait()
				if len(ended) != len(called) {
					t.Errorf("%d of %d calls have ended: the slower call goes on", len(ended), len(called))
				}
				close(called)
				var got []string
				for region := range called {
					got = append(got, region)
				}
				if !slices.Equal(got, tt.called) {
					t.Errorf("called %q, want %q", got, tt.called)
				}
				if took != tt.took { // exact: the clock of synctest stands still while a goroutine runs
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if tt.credsFrom != "" {
					if err != nil || from != tt.credsFrom || c.AccessKeyID != "of "+tt.credsFrom {
						t.Errorf("credentials %q from %q and error %v, want those of %s", c.AccessKeyID, from, err, tt.credsFrom)
					}
					return
				}
				if err == nil || c.HasKeys() {
					t.Fatalf("credentials %q and error %v, want an error alone", c.AccessKeyID, err)
				}
				for _, part := range tt.err {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("error %q does not say %q", err, part)
					}
				}
			})
		})
	}
}

// A panic in a region's goroutine becomes an error and does not end the process.
func TestD30_PanicInARegionIsAnError(t *testing.T) {
	_, _, err := inEither(t.Context(), []string{"a"}, func(context.Context, string) (aws.Credentials, error) { panic("x") })
	if p := (*fault.Panic)(nil); !errors.As(err, &p) {
		t.Errorf("error %v, want the panic", err)
	}
}

func ptr[T any](v T) *T { return &v }
