package awsclient_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/internal/awsclient"
)

func repeat(n int, r response) []response { return slices.Repeat([]response{r}, n) }

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Errorf("error %v, want %s", err, code)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want none of the deadline", err)
	}
}

// One identity is throttled without end, in one service and region. Nobody else is slower for it, in nothing.
func TestT2_ThrottlingSlowsNoOther(t *testing.T) {
	setenv(t, nil)
	synctest.Test(t, func(t *testing.T) {
		a := &account{delay: oneCall, respond: func(r request) response {
			if r.key == "noisy" && r.service == "secretsmanager" && r.region == region {
				return throttled
			}
			return response{}
		}}
		cfg := a.config(t, awsclient.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var noisy sync.WaitGroup
		for range 100 {
			noisy.Go(func() { wantCode(t, readSecret(as(ctx, "noisy"), signedAs(cfg, "noisy")), "ThrottlingException") })
		}
		time.Sleep(30 * time.Second)
		elsewhere := signedAs(cfg, "noisy")
		elsewhere.Region = "eu-west-1"
		for name, call := range map[string]func() error{
			"another identity":                   func() error { return readSecret(as(ctx, "quiet"), signedAs(cfg, "quiet")) },
			"another service, the same identity": func() error { return readParameter(as(ctx, "noisy"), signedAs(cfg, "noisy")) },
			"another region, the same identity":  func() error { return readSecret(as(ctx, "noisy"), elsewhere) },
		} {
			started := time.Now()
			for range 20 {
				if err := call(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if took := time.Since(started); took != 20*oneCall {
				t.Errorf("%s: 20 calls took %v, want %v", name, took, 20*oneCall)
			}
		}
		noisy.Wait()
	})
}

// An identity that AWS throttles asks it about once a second, however many of its calls wait, after those that
// were under way.
func TestT2_ThrottledCallsKeepAPace(t *testing.T) {
	setenv(t, nil)
	synctest.Test(t, func(t *testing.T) {
		a := &account{delay: oneCall, respond: always(throttled)}
		cfg := a.config(t, awsclient.Options{})
		ctx, cancel := context.WithTimeout(as(t.Context(), "a"), time.Minute)
		defer cancel()
		var calls sync.WaitGroup
		const n = 500
		for range n {
			calls.Go(func() { wantCode(t, readSecret(ctx, cfg), "ThrottlingException") })
		}
		calls.Wait()
		if got := len(a.sent()) - n; got > 120 {
			t.Errorf("%d requests more in a minute, want at most 120", got)
		}
	})
}

// Once nothing is throttled any more, nothing is slowed down.
func TestT2_APaceEnds(t *testing.T) {
	setenv(t, nil)
	synctest.Test(t, func(t *testing.T) {
		a := &account{delay: oneCall, respond: times(repeat(10, throttled)...)}
		cfg := a.config(t, awsclient.Options{})
		ctx, cancel := context.WithTimeout(as(t.Context(), "a"), time.Minute)
		defer cancel()
		if err := readSecret(ctx, cfg); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		started := time.Now()
		for range 20 {
			if err := readSecret(ctx, cfg); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(started); took != 20*oneCall {
			t.Errorf("20 calls took %v, want %v", took, 20*oneCall)
		}
	})
}

// The SDK allows a client only so many retries. One identity that uses them up takes none of another's.
func TestT2_RetriesAreEachIdentitysOwn(t *testing.T) {
	setenv(t, nil)
	synctest.Test(t, func(t *testing.T) {
		const failing = "failing"
		broken := response{status: http.StatusServiceUnavailable, code: "ServiceUnavailable"}
		once := times(broken)
		a := &account{delay: oneCall, respond: func(r request) response {
			if r.key == failing {
				return broken
			}
			return once(r)
		}}
		cfg := a.config(t, awsclient.Options{})
		var calls sync.WaitGroup
		for range 100 { // three retries each, of which 100 are allowed
			calls.Go(func() {
				wantCode(t, readSecret(as(t.Context(), failing), signedAs(cfg, failing)), "ServiceUnavailable")
			})
		}
		calls.Wait()
		if n := len(a.sent()); n != 200 {
			t.Errorf("%d requests, want 200", n)
		}
		if err := readSecret(as(t.Context(), "other"), signedAs(cfg, "other")); err != nil {
			t.Errorf("another identity, once unavailable: %v", err)
		}
	})
}

// How often a call is repeated: of a first mount that is throttled, as long as there is time.
func TestT3_Attempts(t *testing.T) {
	setenv(t, nil)
	first, republish := awsclient.Tenant{Key: "a", Queue: "a", First: true}, awsclient.Tenant{Key: "a", Queue: "a"}
	unavailable := response{status: http.StatusServiceUnavailable, code: "ServiceUnavailable"}
	unknown429 := response{status: http.StatusTooManyRequests, code: "SlowlyPlease"}
	for name, tt := range map[string]struct {
		tenant    awsclient.Tenant
		deadline  time.Duration
		max       int
		responses []response
		want      int    // attempts
		code      string // empty: success
	}{
		"throttled":                                {first, time.Minute, 0, repeat(20, throttled), 21, ""},
		"throttled, by the HTTP status":            {first, time.Minute, 0, repeat(20, unknown429), 21, ""},
		"throttled, a republish":                   {republish, time.Minute, 0, repeat(20, throttled), 4, throttled.code},
		"throttled, no deadline":                   {first, 0, 0, repeat(20, throttled), 4, throttled.code},
		"throttled, one attempt allowed":           {first, time.Minute, 1, repeat(20, throttled), 1, throttled.code},
		"unavailable":                              {first, time.Minute, 0, repeat(20, unavailable), 4, unavailable.code},
		"unavailable, two attempts allowed":        {first, time.Minute, 2, repeat(20, unavailable), 2, unavailable.code},
		"throttled, then unavailable: not counted": {first, time.Minute, 0, append(repeat(8, throttled), repeat(3, unavailable)...), 12, ""},
		"denied": {first, time.Minute, 0, repeat(2, response{status: 400, code: "AccessDeniedException"}), 1, "AccessDeniedException"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &account{delay: oneCall, respond: times(tt.responses...)}
				cfg := a.config(t, awsclient.Options{MaxAttempts: tt.max})
				ctx := awsclient.WithTenant(t.Context(), tt.tenant)
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				err := readSecret(ctx, cfg)
				if tt.code != "" {
					wantCode(t, err, tt.code)
				} else if err != nil {
					t.Error(err)
				}
				if got := len(a.sent()); got != tt.want {
					t.Errorf("%d attempts, want %d", got, tt.want)
				}
			})
		})
	}
}

// A call does not sleep its time away: it fails once no attempt can be made any more, with what AWS said.
func TestT3_TheCauseIsToldInTime(t *testing.T) {
	setenv(t, nil)
	unavailable := response{status: http.StatusServiceUnavailable, code: "ServiceUnavailable"}
	wait := func(r response, value string) response { r.header = http.Header{"Retry-After": {value}}; return r }
	for name, tt := range map[string]struct {
		response response
		deadline time.Duration
		within   time.Duration
	}{
		"throttled":                           {throttled, 10 * time.Second, 10*time.Second - 100*time.Millisecond},
		"throttled, to wait for longer":       {wait(throttled, "20"), 10 * time.Second, oneCall},
		"unavailable, to wait for longer":     {wait(unavailable, "20"), 10 * time.Second, oneCall},
		"throttled, hardly any time left":     {throttled, 100 * time.Millisecond, oneCall},
		"unavailable, hardly any time left":   {unavailable, 100 * time.Millisecond, oneCall},
		"unavailable, until the attempts end": {unavailable, time.Minute, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &account{delay: oneCall, respond: always(tt.response)}
				cfg := a.config(t, awsclient.Options{})
				ctx, cancel := context.WithTimeout(as(t.Context(), "a"), tt.deadline)
				defer cancel()
				started := time.Now()
				wantCode(t, readSecret(ctx, cfg), tt.response.code)
				if took := time.Since(started); took > tt.within {
					t.Errorf("told after %v, want within %v", took, tt.within)
				}
			})
		})
	}
}

// A call that never had its turn, as its identity is throttled, says so.
func TestT3_TheCauseIsToldOfCallsThatWaited(t *testing.T) {
	setenv(t, nil)
	synctest.Test(t, func(t *testing.T) {
		a := &account{delay: oneCall, respond: always(response{status: 400, code: throttled.code, header: http.Header{"Retry-After": {"30"}}})}
		cfg := a.config(t, awsclient.Options{})
		for range 3 {
			ctx, cancel := context.WithTimeout(as(t.Context(), "a"), 10*time.Second)
			wantCode(t, readSecret(ctx, cfg), throttled.code)
			cancel()
		}
		if n := len(a.sent()); n != 1 {
			t.Errorf("%d requests, want one: AWS asked to wait", n)
		}
	})
}

// What AWS asks one call to wait holds for all calls of the identity, also after its pace has ended.
func TestT3_AllCallsWaitAsLongAsAWSAsks(t *testing.T) {
	setenv(t, nil)
	synctest.Test(t, func(t *testing.T) {
		a := &account{delay: oneCall, respond: times(response{status: 400, code: throttled.code, header: http.Header{"Retry-After": {"40"}}})}
		cfg := a.config(t, awsclient.Options{})
		short, cancel := context.WithTimeout(as(t.Context(), "a"), 10*time.Second)
		defer cancel()
		wantCode(t, readSecret(short, cfg), throttled.code)
		ctx, cancel := context.WithTimeout(as(t.Context(), "a"), time.Minute)
		defer cancel()
		var calls sync.WaitGroup
		for range 2 {
			time.Sleep(12 * time.Second)
			calls.Go(func() {
				if err := readSecret(ctx, cfg); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		want := 40*time.Second + oneCall
		if diff := cmp.Diff([]time.Duration{0, want, want}, a.sent()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

// The last attempt is cut short by the deadline, after AWS has throttled the ones before.
func TestT3_TheCauseIsToldWhenAnAttemptIsCutShort(t *testing.T) {
	setenv(t, nil)
	synctest.Test(t, func(t *testing.T) {
		a := &account{delay: oneCall, respond: times(throttled, response{delay: time.Minute})}
		cfg := a.config(t, awsclient.Options{})
		ctx, cancel := context.WithTimeout(as(t.Context(), "a"), 3*time.Second)
		defer cancel()
		wantCode(t, readSecret(ctx, cfg), throttled.code)
		if n := len(a.sent()); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

func TestT3_WaitsAsLongAsAWSAsks(t *testing.T) {
	setenv(t, nil)
	for name, tt := range map[string]struct {
		header http.Header
		status int
		code   string
		want   time.Duration // between the attempts
	}{
		"seconds":                     {http.Header{"Retry-After": {"7"}}, 400, throttled.code, 7 * time.Second},
		"a date":                      {http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:00:09 GMT"}}, 400, throttled.code, 9*time.Second - oneCall},
		"milliseconds, AWS's own":     {http.Header{"X-Amz-Retry-After": {"6500"}}, 400, throttled.code, 6500 * time.Millisecond},
		"not throttled":               {http.Header{"Retry-After": {"7"}}, 503, "ServiceUnavailable", 7 * time.Second},
		"rubbish":                     {http.Header{"Retry-After": {"soon"}}, 400, throttled.code, 0},
		"negative":                    {http.Header{"X-Amz-Retry-After": {"-1"}}, 400, throttled.code, 0},
		"a date that has been":        {http.Header{"Retry-After": {"Fri, 31 Dec 1999 00:00:00 GMT"}}, 400, throttled.code, 0},
		"a day: a minute is enough":   {http.Header{"Retry-After": {"86400"}}, 400, throttled.code, time.Minute},
		"more than a number can be":   {http.Header{"Retry-After": {"99999999999999999999"}}, 400, throttled.code, 0},
		"more than a duration can be": {http.Header{"X-Amz-Retry-After": {fmt.Sprint(math.MaxInt64)}}, 400, throttled.code, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &account{delay: oneCall, respond: times(response{status: tt.status, code: tt.code, header: tt.header})}
				cfg := a.config(t, awsclient.Options{})
				ctx, cancel := context.WithTimeout(as(t.Context(), "a"), 2*time.Minute)
				defer cancel()
				if err := readSecret(ctx, cfg); err != nil {
					t.Fatal(err)
				}
				sent := a.sent()
				// Without a wait that AWS asks for, the random one is 50 ms to 0.5 s.
				least, most := tt.want, tt.want
				if tt.want == 0 {
					least, most = 50*time.Millisecond, 500*time.Millisecond
				}
				if got := sent[1] - oneCall; got < least || got > most {
					t.Errorf("waited %v, want %v to %v", got, least, most)
				}
			})
		})
	}
}

// The names of identities, services and regions come from pod authors: what is kept of them is bounded.
func TestT2_RetryStatesAreBounded(t *testing.T) {
	setenv(t, nil)
	metrics := awsclient.NewMetrics()
	a := &account{respond: always(response{})}
	cfg := a.config(t, awsclient.Options{Metrics: metrics})
	size := func() string { return samples(t, metrics)["secrets_provider_aws_retry_states"] }
	for i := range 5 {
		for range 2 {
			if err := readSecret(as(t.Context(), fmt.Sprint(i)), cfg); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := size(); got != "5" {
		t.Errorf("five identities, twice: %s states, want 5", got)
	}
	for i := range 4200 {
		if err := readSecret(as(t.Context(), fmt.Sprint(i)), cfg); err != nil {
			t.Fatal(err)
		}
	}
	if got := size(); got != "4096" {
		t.Errorf("4200 identities: %s states, want 4096", got)
	}
}
