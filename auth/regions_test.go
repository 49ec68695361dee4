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

// stsAnswer is what STS of a region does: after a while it gives credentials, or fails. It never
// answers at all where after is forever.
type stsAnswer struct {
	after time.Duration
	kind  fault.Kind // of the failure
	fails bool
}

const forever = time.Hour

// The second region's STS is asked when the first is silent for a second or fails transiently, and no
// sooner; the first credentials win, and a refusal is final.
func TestR12_STSOfEitherRegion(t *testing.T) {
	works := stsAnswer{after: 20 * time.Millisecond}
	fails := func(after time.Duration, kind fault.Kind) stsAnswer { return stsAnswer{after, kind, true} }
	for _, tt := range []struct {
		name      string
		first     stsAnswer
		second    *stsAnswer // nil: the class has one region
		asked     []string
		credsFrom string   // empty: an error
		err       []string // parts of the error
		took      time.Duration
	}{
		{name: "the first answers", first: works, second: &works, asked: []string{"a"}, credsFrom: "a", took: 20 * time.Millisecond},
		{name: "the first answers just in time", first: stsAnswer{after: 999 * time.Millisecond}, second: &works, asked: []string{"a"}, credsFrom: "a", took: 999 * time.Millisecond},
		{name: "the first hangs", first: stsAnswer{after: forever}, second: &works, asked: []string{"a", "b"}, credsFrom: "b", took: 1020 * time.Millisecond},
		{name: "the first is slow, and still sooner", first: stsAnswer{after: 1010 * time.Millisecond}, second: &works, asked: []string{"a", "b"}, credsFrom: "a", took: 1010 * time.Millisecond},
		{name: "the first fails", first: fails(5*time.Millisecond, fault.Transient), second: &works, asked: []string{"a", "b"}, credsFrom: "b", took: 25 * time.Millisecond},
		{name: "the first refuses", first: fails(5*time.Millisecond, fault.Credentials), second: &works, asked: []string{"a"}, err: []string{"in a"}, took: 5 * time.Millisecond},
		{name: "the first hangs, the second refuses", first: stsAnswer{after: forever}, second: ptr(fails(0, fault.Credentials)), asked: []string{"a", "b"}, err: []string{"in b"}, took: time.Second},
		{name: "the first fails, the second refuses", first: fails(0, fault.Transient), second: ptr(fails(0, fault.Credentials)), asked: []string{"a", "b"}, err: []string{"in b"}},
		{name: "the second fails, the first still answers", first: stsAnswer{after: 3 * time.Second}, second: ptr(fails(0, fault.Transient)), asked: []string{"a", "b"}, credsFrom: "a", took: 3 * time.Second},
		{name: "both fail", first: fails(0, fault.Transient), second: ptr(fails(0, fault.Transient)), asked: []string{"a", "b"}, err: []string{"2 failures", "in a", "in b"}},
		{name: "both hang", first: stsAnswer{after: forever}, second: &stsAnswer{after: forever}, asked: []string{"a", "b"}, err: []string{"2 failures", "in a", "in b"}, took: maxExchange},
		{name: "one region that hangs", first: stsAnswer{after: forever}, asked: []string{"a"}, err: []string{"in a"}, took: maxExchange},
		{name: "one region that fails", first: fails(0, fault.Transient), asked: []string{"a"}, err: []string{"in a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				regions := map[string]stsAnswer{"a": tt.first}
				names := []string{"a"}
				if tt.second != nil {
					regions["b"], names = *tt.second, []string{"a", "b"}
				}
				asked, ended := make(chan string, 2), make(chan string, 2)
				started := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), maxExchange)
				defer cancel()
				c, from, err := inEither(ctx, names, func(ctx context.Context, region string) (aws.Credentials, error) {
					asked <- region
					defer func() { ended <- region }()
					answer := regions[region]
					if !pause(ctx, answer.after) {
						return aws.Credentials{}, &fault.Error{Kind: fault.Transient, What: "x", Region: region, Why: fault.Late}
					}
					if answer.fails {
						return aws.Credentials{}, &fault.Error{Kind: answer.kind, What: "x", Region: region}
					}
					return aws.Credentials{AccessKeyID: "of " + region}, nil
				})
				took := time.Since(started)
				synctest.Wait()
				if len(ended) != len(asked) {
					t.Errorf("%d of %d calls have ended: whoever lost goes on", len(ended), len(asked))
				}
				close(asked)
				var got []string
				for region := range asked {
					got = append(got, region)
				}
				if !slices.Equal(got, tt.asked) {
					t.Errorf("asked %q, want %q", got, tt.asked)
				}
				if took != tt.took { // the bubble's clock, which stands still while anything runs
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

// A panic of one region's goroutine is an error, not the end of the process.
func TestD30_APanicIsAnError(t *testing.T) {
	_, _, err := inEither(t.Context(), []string{"a"}, func(context.Context, string) (aws.Credentials, error) { panic("x") })
	if p := (*fault.Panic)(nil); !errors.As(err, &p) {
		t.Errorf("error %v, want the panic", err)
	}
}

func ptr[T any](v T) *T { return &v }
