package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// eventLine is one Event as a user sees it.
type eventLine struct{ Pod, Type, Reason, Note string }

// wantEvents waits for as many Events as want has, and compares them all. A note begins with the one that is wanted.
func wantEvents(t *testing.T, r *rig.Rig, want []eventLine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	events, err := r.Kube.Events(ctx, len(want))
	if err != nil {
		t.Fatal(err)
	}
	var got []eventLine
	for i, e := range events {
		if e.Regarding.Kind != "Pod" || e.Regarding.UID != "uid-of-"+e.Regarding.Name || e.ReportingInstance != rig.Node {
			t.Errorf("an Event of %+v by %s", e.Regarding, e.ReportingInstance)
		}
		if e.Series != nil {
			t.Errorf("%s of %s was reported %d times, want once", e.Reason, e.Regarding.Name, e.Series.Count)
		}
		line := eventLine{e.Regarding.Name, e.Type, e.Reason, e.Note}
		if i < len(want) && strings.HasPrefix(line.Note, want[i].Note) {
			line.Note = want[i].Note
		}
		got = append(got, line)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("Events (-want +got):\n%s", diff)
	}
}

// A pod gets one Event when its refresh starts to fail, with the message of the mount, one when the reason changes, and
// one when it works again.
func TestI14_FailingRefreshIsAnEventOfThePod(t *testing.T) {
	r, clock := freshRig(t, rig.Options{Events: true, AWS: awsclient.Options{MaxAttempts: 1}})
	for range 2 {
		wantFile(t, r, pod("a"), "one")
		clock.Advance(3 * time.Minute)
	}
	restore := r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Status: 503})
	wantCode(t, r, rig.Mount{Pod: "b", Objects: secretNamed("other")}, codes.Internal) // a first mount: the kubelet writes its Event
	_, err := r.Mount(pod("a"))
	for range 3 {
		clock.Advance(4 * time.Minute)
		wantCode(t, r, pod("a"), codes.Internal)
	}
	restore()
	wantCode(t, r, rig.Mount{Pod: "a", Objects: "nonsense"}, codes.InvalidArgument)
	clock.Advance(12 * time.Minute)
	wantFile(t, r, pod("a"), "one")
	const class = "SecretProviderClass payments/payment-secrets: "
	wantEvents(t, r, []eventLine{
		{"a", "Warning", "SecretRefreshFailed", strings.TrimPrefix(err.Error(), "rpc error: code = Internal desc = ")},
		{"a", "Warning", "SecretRefreshFailed", class + "objects"},
		{"a", "Normal", "SecretRefreshRecovered", class + "the files are refreshed again, after 24m0s of failures"},
	})
}

func TestI14_StaleAndFailoverValuesAreEventsOfThePod(t *testing.T) {
	r, clock := freshRig(t, rig.Options{Events: true, AWS: awsclient.Options{MaxAttempts: 1}})
	wantFile(t, r, pod("a"), "one")
	clock.Advance(2 * time.Minute)
	restore := r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Region: rig.Region, Status: 503})
	wantFile(t, r, pod("b"), "one")
	r.AWS.PutSecret(failoverRegion, "prod/db", "other")
	m := pod("c")
	m.Parameters = map[string]string{"failoverRegion": failoverRegion}
	for range 2 {
		wantFile(t, r, m, "other")
		clock.Advance(3 * time.Minute)
	}
	restore()
	wantFile(t, r, m, "one")
	const cause = `cannot read secret "prod/db" in ap-south-1: ServiceUnavailable`
	const class = "SecretProviderClass payments/payment-secrets: "
	wantEvents(t, r, []eventLine{
		{"b", "Warning", "SecretServedStale", class + "AWS failed, so the files have the last known values, the oldest read 2m0s ago: " + cause},
		{"c", "Warning", "SecretServedFromFailoverRegion", class + "the region ap-south-1 failed, so the files have the values of the failover region eu-west-1: " + cause},
	})
}

// The limit of one namespace takes none from another, and no mount waits for the API server.
func TestI14_EventsAreLimitedByNamespace(t *testing.T) {
	const pods = 60
	r, clock := freshRig(t, rig.Options{Events: true, AWS: awsclient.Options{MaxAttempts: 1}})
	quiet := pod("quiet")
	quiet.Namespace = "quiet"
	quiet.Parameters = map[string]string{"roleArn": "arn:aws:iam::123456789012:role/quiet"}
	if err := r.AWS.AddRole(awssim.Role{Name: "quiet", TrustPolicy: r.Issuer.TrustPolicy("quiet", rig.ServiceAccount), Policies: []awssim.Document{rig.ReadSecrets}}); err != nil {
		t.Fatal(err)
	}
	all := []rig.Mount{}
	for i := range pods {
		all = append(all, pod(fmt.Sprint("p", i)))
	}
	all = append(all, quiet)
	for _, m := range all {
		wantFile(t, r, m, "one")
	}
	clock.Advance(3 * time.Minute)
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Status: 503})
	for _, m := range all {
		wantCode(t, r, m, codes.Internal)
	}
	want := []eventLine{}
	for i := range 25 {
		want = append(want, eventLine{fmt.Sprint("p", i), "Warning", "SecretRefreshFailed", "SecretProviderClass payments/"})
	}
	wantEvents(t, r, append(want, eventLine{"quiet", "Warning", "SecretRefreshFailed", "SecretProviderClass quiet/"}))
	if dropped := r.Sample("secrets_provider_aws_events_total", "result", "dropped"); dropped != pods-25 {
		t.Errorf("%v Events dropped, want %d", dropped, pods-25)
	}
}

// The messages of Events are those of mounts, and the test of the log and of the messages covers those (rule D18).
func TestI14_EventsShowNoSecrets(t *testing.T) {
	r, clock := freshRig(t, rig.Options{Events: true, State: canaryWorld, MaxStale: rig.NoStale, AWS: awsclient.Options{MaxAttempts: 1}})
	var texts, hidden []string
	for _, canary := range canaries {
		hidden = append(hidden, canary)
	}
	want, pods := 0, 0
	for _, objects := range canaryObjects {
		pods++
		m := pod(fmt.Sprint("pod-", pods))
		wantFile(t, r, m, "one")
		clock.Advance(3 * time.Minute)
		m.Objects = objects
		req := r.Request(m)
		for _, token := range tokensIn(t, req) {
			hidden = append(hidden, strings.Split(token, ".")[1:]...)
		}
		if _, err := r.Client.Mount(t.Context(), req); err != nil {
			want++
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	events, err := r.Kube.Events(ctx, want)
	if err != nil || want < 3 {
		t.Fatalf("%d Events are too few: %v", want, err)
	}
	for _, e := range events {
		texts = append(texts, e.Note)
	}
	for _, secret := range hidden {
		if all := strings.Join(texts, "\n"); strings.Contains(all, secret) {
			t.Errorf("an Event shows ...%s", around(all, secret))
		}
	}
}
