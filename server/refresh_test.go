package server_test

import (
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// mounts gives the count of mount requests with these labels.
func mounts(r *rig.Rig, labels ...string) float64 {
	return r.Sample("secrets_provider_aws_mounts_total", labels...)
}

// refreshState is what the metrics tell of the refreshed volumes.
type refreshState struct {
	Refreshing, Failing, FailingSeconds, OldestAge, Failover float64
}

func wantRefreshState(t *testing.T, r *rig.Rig, when string, want refreshState) {
	t.Helper()
	got := refreshState{
		r.Metric("secrets_provider_aws_refreshing_volumes"), r.Metric("secrets_provider_aws_refresh_failing_volumes"),
		r.Metric("secrets_provider_aws_refresh_failing_seconds"), r.Metric("secrets_provider_aws_oldest_value_age_seconds"),
		r.Metric("secrets_provider_aws_failover_volumes"),
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// failing gives the volumes whose refresh fails for a reason.
func failing(r *rig.Rig, reason string) float64 {
	return r.Sample("secrets_provider_aws_refresh_failing_volumes", "reason", reason)
}

func TestI13_FailingRefreshShowsInMetrics(t *testing.T) {
	r, clock := freshRig(t, rig.Options{AWS: awsclient.Options{MaxAttempts: 1}})
	wantFile(t, r, pod("a"), "one")
	clock.Advance(2 * time.Minute)
	wantRefreshState(t, r, "after the first mount", refreshState{})

	clock.Advance(time.Minute)
	wantFile(t, r, pod("a"), "one")
	wantRefreshState(t, r, "after a republish", refreshState{Refreshing: 1})
	success := r.Metric("secrets_provider_aws_last_refresh_success_timestamp_seconds")
	if want := float64(clock.Now().UnixMilli()) / 1000; success != want {
		t.Errorf("the last refresh succeeded at %v, want %v", success, want)
	}

	restore := r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Status: 503})
	for range 5 {
		clock.Advance(4 * time.Minute)
		wantCode(t, r, pod("a"), codes.Internal)
	}
	wantRefreshState(t, r, "after 20 minutes of an outage", refreshState{Refreshing: 1, Failing: 1, FailingSeconds: 16 * 60, OldestAge: 20 * 60})
	if got := failing(r, "transient"); got != 1 {
		t.Errorf("%v volumes fail for the reason transient, want 1", got)
	}
	if got := r.Metric("secrets_provider_aws_last_refresh_success_timestamp_seconds"); got != success {
		t.Errorf("the time of the last success has moved by %v s", got-success)
	}

	restore()
	clock.Advance(11 * time.Minute) // the longest back-off
	wantFile(t, r, pod("a"), "one")
	wantRefreshState(t, r, "after the outage", refreshState{Refreshing: 1})
	clock.Advance(time.Minute)
	wantRefreshState(t, r, "a minute later", refreshState{Refreshing: 1, OldestAge: 60})
}

// A failure before the provider knows the token, such as a mistake in an edited class, is a failed refresh too.
func TestI13_ReasonOfAFailingRefreshIsTheLastOne(t *testing.T) {
	r, clock := freshRig(t, rig.Options{})
	for range 2 {
		wantFile(t, r, pod("a"), "one")
		clock.Advance(3 * time.Minute)
	}
	wantCode(t, r, rig.Mount{Pod: "a", Objects: "nonsense"}, codes.InvalidArgument)
	if got := failing(r, "class"); got != 1 {
		t.Errorf("%v volumes fail for the reason class, want 1", got)
	}
	clock.Advance(time.Minute)
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Code: "AccessDeniedException"})
	wantCode(t, r, pod("a"), codes.PermissionDenied)
	if class, denied := failing(r, "class"), failing(r, "denied"); class != 0 || denied != 1 {
		t.Errorf("%v volumes fail for the reason class and %v for denied, want 0 and 1", class, denied)
	}
	seconds := func(reason string) float64 {
		return r.Sample("secrets_provider_aws_refresh_failing_seconds", "reason", reason)
	}
	if class, denied := seconds("class"), seconds("denied"); class != 0 || denied != 60 {
		t.Errorf("the refresh fails since %v s for the reason class and %v s for denied, want 0 and 60", class, denied)
	}
}

func TestI13_PodsThatAreGoneAreNotCounted(t *testing.T) {
	r, clock := freshRig(t, rig.Options{AWS: awsclient.Options{MaxAttempts: 1}})
	for range 2 {
		wantFile(t, r, pod("a"), "one")
		clock.Advance(3 * time.Minute)
	}
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Status: 503})
	wantCode(t, r, pod("a"), codes.Internal)
	clock.Advance(9 * time.Minute) // three times the gap between its last two requests
	if got := failing(r, "transient"); got != 1 {
		t.Errorf("%v failing volumes, want 1", got)
	}
	clock.Advance(time.Second)
	wantRefreshState(t, r, "long after the last request", refreshState{})
}

func TestI13_FailoverShowsInMetrics(t *testing.T) {
	r, clock := freshRig(t, rig.Options{AWS: awsclient.Options{MaxAttempts: 1}})
	r.AWS.PutSecret(failoverRegion, "prod/db", "other")
	m := pod("a")
	m.Parameters = map[string]string{"failoverRegion": failoverRegion}
	restore := r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Region: rig.Region, Status: 503})
	wantFile(t, r, m, "other")
	wantRefreshState(t, r, "in the outage of the primary region", refreshState{Failover: 1})
	restore()
	clock.Advance(3 * time.Minute)
	wantFile(t, r, m, "one")
	wantRefreshState(t, r, "after it", refreshState{Refreshing: 1})
}

// A pinned version is never read again, so its age says nothing.
func TestI13_PinnedVersionsHaveNoAge(t *testing.T) {
	r, clock := freshRig(t, rig.Options{})
	r.AWS.PutParameter(rig.Region, "/app/level", "info")
	m := rig.Mount{Pod: "a", Objects: "- {objectName: /app/level, objectType: ssmparameter, objectVersion: 1}\n"}
	for range 2 {
		r.Files(m)
		clock.Advance(3 * time.Minute)
	}
	wantRefreshState(t, r, "three minutes after a republish", refreshState{Refreshing: 1})
}

func TestI13_MountsAreCountedByPhase(t *testing.T) {
	r, clock := freshRig(t, rig.Options{AWS: awsclient.Options{MaxAttempts: 1}})
	wantFile(t, r, pod("a"), "one")
	wantFile(t, r, pod("a"), "one")
	wantCode(t, r, rig.Mount{Pod: "b", Objects: "nonsense"}, codes.InvalidArgument)
	clock.Advance(3 * time.Minute)
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Status: 503})
	for range 2 {
		wantCode(t, r, pod("a"), codes.Internal)
	}
	for _, want := range []struct {
		phase, result, reason string
		count                 float64
	}{
		{"first", "ok", "", 1}, {"first", "error", "class", 1}, {"first", "error", "transient", 0},
		{"republish", "ok", "", 1}, {"republish", "error", "class", 0}, {"republish", "error", "transient", 2},
	} {
		if got := mounts(r, "phase", want.phase, "result", want.result, "reason", want.reason); got != want.count {
			t.Errorf("%v mounts, want %+v", got, want)
		}
	}
	if got := r.Sample("secrets_provider_aws_mount_duration_seconds", "phase", "republish", "result", "error"); got != 2 {
		t.Errorf("%v durations of failed republishes, want 2", got)
	}
}

// The secrets-store-sync-controller sends one target path for all of its requests: none is a republish.
func TestI13_RequestsWithoutAPodAreFirstMounts(t *testing.T) {
	r, _ := freshRig(t, rig.Options{})
	m := pod("controller")
	m.Tokens = map[string]string{"sts.amazonaws.com": r.Token(awssim.Token{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, TTL: rig.LongTTL})}
	for range 3 {
		wantFile(t, r, m, "one")
	}
	if got := mounts(r, "phase", "first", "result", "ok"); got != 3 {
		t.Errorf("%v first mounts, want 3", got)
	}
	wantRefreshState(t, r, "after the requests", refreshState{})
}

func TestI13_RequestsToAWSAreTimedByOutcome(t *testing.T) {
	r, clock := freshRig(t, rig.Options{AWS: awsclient.Options{MaxAttempts: 1, AttemptTimeout: 200 * time.Millisecond}})
	for i, want := range []struct {
		outcome string
		fault   awssim.Fault
	}{
		{"ok", awssim.Fault{Count: 1, Latency: time.Millisecond}},
		{"throttled", awssim.Fault{Count: 1, Code: "ThrottlingException"}},
		{"denied", awssim.Fault{Count: 1, Code: "AccessDeniedException"}},
		{"client_error", awssim.Fault{Count: 1, Code: "InvalidRequestException"}},
		{"server_error", awssim.Fault{Count: 1, Status: 503}},
		{"no_response", awssim.Fault{Count: 1, Cut: true}},
	} {
		want.fault.Service = "secretsmanager"
		clock.Advance(2 * time.Second) // a first mount may use a value of the last second
		remove := r.AWS.Inject(want.fault)
		_, _ = r.Mount(pod(fmt.Sprint("pod-", i))) // the metric is compared
		remove()
		if got := r.Sample("secrets_provider_aws_request_duration_seconds", "service", "Secrets Manager", "operation", "GetSecretValue",
			"region", rig.Region, "outcome", want.outcome); got != 1 {
			t.Errorf("%v requests of outcome %s, want 1", got, want.outcome)
		}
	}
	if got := r.Sample("secrets_provider_aws_credentials_total", "from", "sts", "result", "ok"); got != 1 {
		t.Errorf("%v exchanges, want 1", got)
	}
	if got := r.Sample("secrets_provider_aws_credentials_total", "from", "cache", "result", "ok"); got != 5 {
		t.Errorf("%v credentials from the cache, want 5", got)
	}
}
