package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// oneRow returns a rig with one secret in two healthy regions.
func oneRow(t *testing.T, o rig.Options) (*rig.Rig, *rig.Clock, row) {
	t.Helper()
	w := row{secret: "prod/app", primary: regionOK, failover: regionOK}
	r, clock := twoRegions(t, o, w)
	return r, clock, w
}

// of returns w with other states of the regions.
func (w row) of(primary, failover state) row {
	w.primary, w.failover = primary, failover
	return w
}

var down, notFound = transient[0], refusing[0]

// AWS's provider serves the primary's value with the version of the failover region.
func TestI3_VersionIsThatOfTheRegionServed(t *testing.T) {
	r, clock, w := oneRow(t, rig.Options{RefreshInterval: time.Minute})
	versions := map[string]string{"one": r.AWS.PutSecret(rig.Region, w.secret, "one"), "failover one": r.AWS.PutSecret(failoverRegion, w.secret, "failover one")}
	wantVersion := func(content string) {
		t.Helper()
		resp, err := r.Mount(w.mount())
		if err != nil {
			t.Fatal(err)
		}
		if got := string(resp.GetFiles()[0].GetContents()); got != content {
			t.Errorf("content %q, want %q", got, content)
		}
		if got := resp.GetObjectVersion()[0].GetVersion(); got != versions[content] {
			t.Errorf("version %s of %q, want %s", got, content, versions[content])
		}
	}
	wantVersion("one")
	restore := r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Region: rig.Region, Status: 503})
	clock.Advance(2 * time.Minute)
	wantVersion("failover one")
	restore()
	clock.Advance(2 * time.Minute)
	wantVersion("one")
}

// A mount from the failover region logs one warning and counts in a metric.
func TestR13_FailoverIsVisible(t *testing.T) {
	r, _, w := oneRow(t, rig.Options{})
	w.of(down, regionOK).begin(r)
	m := w.mount()
	m.Objects += "- {objectName: prod/db, objectType: secretsmanager}\n- {objectName: " + w.secret + ", objectType: secretsmanager, objectAlias: again, objectVersionLabel: AWSCURRENT}\n"
	r.AWS.PutSecret(failoverRegion, "prod/db", "failover value")
	r.Files(m)
	logs := r.Logs()
	const warning = `level=WARN msg="the primary region failed, served from the failover region" region=ap-south-1 failover_region=eu-west-1 values=3 error="2 failures: (1) cannot read secret \"prod/app\" in ap-south-1: `
	if n := strings.Count(logs, warning); n != 1 || strings.Count(logs, "level=WARN") != 1 {
		t.Errorf("%d warnings that begin with %s, want one and no other:\n%s", n, warning, logs)
	}
	if !strings.Contains(logs, " read=0 cached=0 stale=0 failover=3 ") {
		t.Errorf("no sources in:\n%s", logs)
	}
	if got := r.Values("failover"); got != 3 {
		t.Errorf("metric of source failover: %v, want 3", got)
	}
}

// An outage of the primary costs one failover read per interval, for any number of pods.
func TestR7_OutageCostsOneFailoverReadPerInterval(t *testing.T) {
	const pods, intervals = 5, 3
	r, clock, w := oneRow(t, rig.Options{RefreshInterval: time.Minute})
	podOf := func(i int) rig.Mount {
		m := w.mount()
		m.Pod = fmt.Sprint("pod-", i)
		return m
	}
	for i := range pods {
		r.Files(podOf(i))
	}
	w.of(down, regionOK).begin(r)
	r.AWS.ResetCalls()
	for range intervals {
		clock.Advance(67 * time.Second) // an interval and its spread
		for i := range 3 * pods {
			if got := r.Files(podOf(i % pods))["file"]; got != "failover one" {
				t.Errorf("content %q, want the failover region's", got)
			}
		}
	}
	if got := w.reads(t, r); got[failoverRegion] != intervals || got[rig.Region] > intervals {
		t.Errorf("reads %v, want %d from the failover region, and at most as many from the primary", got, intervals)
	}
}

func TestR7_PinnedVersionIsReadOnce(t *testing.T) {
	const version = "33333333-3333-3333-3333-333333333333"
	state := awssim.State{}
	for _, region := range []string{rig.Region, failoverRegion} {
		state.Secrets = append(state.Secrets, awssim.Secret{Region: region, Name: "pinned", Versions: []awssim.SecretVersion{{ID: version, Value: "of " + region}}})
	}
	r, clock, _ := oneRow(t, rig.Options{State: state})
	w := row{secret: "pinned"}
	m := w.mount()
	m.Objects = "- {objectName: pinned, objectType: secretsmanager, objectAlias: file, objectVersion: " + version + "}\n"
	w.of(down, regionOK).begin(r)
	for range 10 {
		if got := r.Files(m)["file"]; got != "of "+failoverRegion {
			t.Errorf("content %q, want the failover region's", got)
		}
		clock.Advance(4 * time.Minute)
	}
	if got := w.reads(t, r); got[failoverRegion] != 1 {
		t.Errorf("reads %v, want one from the failover region: a version does not change", got)
	}
}

// When both regions fail, a first mount gets the last known value. The primary's value comes first.
func TestR4_BothDownServesTheLastKnownValue(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, after row
		want          string // empty: refused
	}{
		{"both known", row{}, row{primary: down, failover: down}, "one"},
		{"only the failover region's known", row{primary: down}, row{primary: down, failover: down}, "failover one"},
		{"none known", row{primary: down, failover: down}, row{primary: down, failover: down}, ""},
		{"the failover region refuses", row{}, row{primary: down, failover: notFound}, ""},
		{"the primary refuses", row{}, row{primary: notFound, failover: down}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, clock, w := oneRow(t, rig.Options{MaxStale: time.Hour, RefreshInterval: time.Hour})
			mount := func(pod string, world row) (*v1alpha1.MountResponse, error) {
				defer w.of(world.primary, world.failover).begin(r)()
				defer clock.Advance(time.Minute)
				m := w.mount()
				m.Pod = pod
				return r.Mount(m)
			}
			_, _ = mount("a", tt.before)
			resp, err := mount("b", tt.after)
			switch {
			case tt.want == "" && err == nil:
				t.Errorf("mounted %s", resp)
			case tt.want != "" && err != nil:
				t.Errorf("%v, want %q", err, tt.want)
			case tt.want != "" && string(resp.GetFiles()[0].GetContents()) != tt.want:
				t.Errorf("mounted %s, want %q", resp.GetFiles()[0].GetContents(), tt.want)
			}
		})
	}
}

// After a denial in the primary region, no earlier value of the failover region is served.
func TestI2_DenialIsNotServedStale(t *testing.T) {
	r, clock, w := oneRow(t, rig.Options{MaxStale: time.Hour, RefreshInterval: time.Hour})
	for i, world := range []struct {
		primary, failover state
		code              codes.Code
	}{{regionOK, regionOK, codes.OK}, {refusing[1], regionOK, codes.PermissionDenied}, {down, down, codes.Internal}} {
		end := w.of(world.primary, world.failover).begin(r)
		m := w.mount()
		m.Pod = fmt.Sprint("pod-", i)
		wantCode(t, r, m, world.code)
		end()
		clock.Advance(time.Minute)
	}
}

// One call gets the credentials for both regions. When AWS says that they have expired, one more call gets new ones.
func TestR11_CredentialsComeOnce(t *testing.T) {
	for _, region := range []string{rig.Region, failoverRegion, ""} {
		t.Run("expired in "+region, func(t *testing.T) {
			r, clock, w := oneRow(t, rig.Options{})
			r.Files(w.mount())
			r.AWS.ResetCalls()
			hits := 1
			if region == "" {
				hits = 2
			}
			r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Region: region, Code: "ExpiredTokenException", Count: hits})
			clock.Advance(2 * time.Second)
			m := w.mount()
			m.Pod = "another"
			r.Files(m)
			wantCallsOf(t, r, map[string]int{getSecret: 2 + hits, assumeWebIdentity: 1})
		})
	}
	t.Run("refused", func(t *testing.T) {
		r, _, w := oneRow(t, rig.Options{})
		r.AWS.Inject(awssim.Fault{Service: "sts", Status: 503})
		_, err := r.Mount(w.mount())
		if got := status.Convert(err).Message(); strings.Count(got, "in "+rig.Region+": ServiceUnavailable") != 1 {
			t.Errorf("message %q, want the cause once", got)
		}
		if got := w.reads(t, r); len(got) > 0 {
			t.Errorf("reads %v without credentials", got)
		}
	})
}

// failoverObject names the object to read in the failover region, for both services.
func TestR6_FailoverObjectIsReadInItsRegion(t *testing.T) {
	const objects = `
- {objectName: prod/app, objectType: secretsmanager, objectAlias: same}
- {objectName: prod/app, objectType: secretsmanager, objectAlias: app, failoverObject: {objectName: prod/app-copy}}
- {objectName: prod/app, objectType: secretsmanager, objectAlias: label, failoverObject: {objectName: prod/app-copy, objectVersionLabel: AWSPREVIOUS}}
- {objectName: /level, objectType: ssmparameter, objectAlias: level}
- {objectName: /url, objectType: ssmparameter, objectAlias: url, failoverObject: {objectName: /url-copy, objectVersionLabel: live}}
`
	for _, tt := range []struct {
		name  string
		fault awssim.Fault
		want  map[string]string
		batch bool
		calls map[string]int
	}{
		{"primary", awssim.Fault{Service: "sts", Operation: "none"}, map[string]string{"same": "one", "app": "one", "label": "one", "level": "L", "url": "U"}, false,
			map[string]int{assumeWebIdentity: 1, getSecret: 4, "ssm:GetParameters": 2}},
		{"failover region", awssim.Fault{Region: rig.Region, Status: 503},
			map[string]string{"same": "failover one", "app": "copy", "label": "previous", "level": "failover L", "url": "failover U"}, false,
			map[string]int{assumeWebIdentity: 1, getSecret: 4, "ssm:GetParameters": 2}},
		{"one service of the primary region fails", awssim.Fault{Service: "ssm", Region: rig.Region, Status: 503},
			map[string]string{"same": "failover one", "app": "copy", "label": "previous", "level": "failover L", "url": "failover U"}, false,
			map[string]int{assumeWebIdentity: 1, getSecret: 4, "ssm:GetParameters": 2}},
		{"failover region, in batches", awssim.Fault{Region: rig.Region, Status: 503},
			map[string]string{"same": "failover one", "app": "copy", "label": "previous", "level": "failover L", "url": "failover U"}, true,
			map[string]int{assumeWebIdentity: 1, "secretsmanager:BatchGetSecretValue": 1, getSecret: 2, "ssm:GetParameters": 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			policies := []awssim.Document{rig.ReadSecrets, rig.ReadParameters}
			if tt.batch {
				policies = append(policies, awssim.AllowPolicy("*", "secretsmanager:BatchGetSecretValue"))
			}
			state := awssim.State{Parameters: []awssim.Parameter{
				{Region: rig.Region, Name: "/level", Value: "L"}, {Region: failoverRegion, Name: "/level", Value: "failover L"}, {Region: rig.Region, Name: "/url", Value: "U"},
				{Region: failoverRegion, Name: "/url-copy", Versions: []string{"failover U", "newer"}, Labels: map[string]int64{"live": 1}},
			}}
			r, _, _ := oneRow(t, rig.Options{State: state, BatchSecrets: tt.batch, Policies: policies})
			r.AWS.PutSecret(failoverRegion, "prod/app-copy", "previous")
			r.AWS.PutSecret(failoverRegion, "prod/app-copy", "copy")
			r.AWS.Inject(tt.fault)
			got := r.Files(rig.Mount{Objects: objects, Parameters: map[string]string{"failoverRegion": failoverRegion}})
			if diff := gocmp.Diff(tt.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			wantCallsOf(t, r, tt.calls)
		})
	}
}

// Volumes with one region and with two regions share reads. Each waits with its own timeout.
func TestR8_ReadsAreSharedWithVolumesOfOneRegion(t *testing.T) {
	one := rig.Mount{Pod: "one", Objects: oneSecret}
	two := rig.Mount{Pod: "two", Objects: oneSecret, Parameters: map[string]string{"failoverRegion": failoverRegion}}
	// start mounts m in the background. Its read of the primary region hangs. The timeouts are longer than the
	// test, so that no timeout ends a read.
	start := func(ctx context.Context, t *testing.T, regionTimeout time.Duration, m rig.Mount) (*rig.Rig, <-chan error) {
		t.Helper()
		r, _ := freshRig(t, rig.Options{RegionTimeout: regionTimeout, AWS: awsclient.Options{AttemptTimeout: time.Minute}})
		r.AWS.PutSecret(failoverRegion, "prod/db", "failover one")
		r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Region: rig.Region, Hang: true, Count: 1})
		done := make(chan error, 1)
		req := r.Request(m)
		go func() {
			_, err := r.Client.Mount(ctx, req)
			done <- err
		}()
		// Wait for the read of the primary region, because the fault hits the first read.
		for (row{secret: "prod/db"}).reads(t, r)[rig.Region] == 0 {
			time.Sleep(time.Millisecond)
		}
		return r, done
	}
	t.Run("two regions join the read of one region", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, first := start(ctx, t, 200*time.Millisecond, one)
		wantFile(t, r, two, "failover one")
		cancel()
		if err := <-first; status.Code(err) != codes.Canceled {
			t.Errorf("the volume with one region: %v, want it to wait until it is cancelled", err)
		}
		if diff := gocmp.Diff(map[string]int{rig.Region: 1, failoverRegion: 1}, row{secret: "prod/db"}.reads(t, r)); diff != "" {
			t.Errorf("reads (-want +got):\n%s", diff)
		}
	})
	t.Run("one region does not join the read of two regions", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, first := start(ctx, t, time.Minute, two)
		wantFile(t, r, one, "one")
		cancel()
		if err := <-first; status.Code(err) != codes.Canceled {
			t.Errorf("the volume with two regions: %v, want it to wait until it is cancelled", err)
		}
	})
}
