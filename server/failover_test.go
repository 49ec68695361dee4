package server_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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

// failoverRegion is the failover region of these tests.
const failoverRegion = "eu-west-1"

// state is how a region behaves.
type state struct {
	name  string
	fault awssim.Fault // zero for "ok"
	code  codes.Code   // of a failure that is not transient; OK for the rest
	says  string       // part of the error message
}

var (
	regionOK  = state{name: "ok"}
	transient = []state{
		{name: "503", fault: awssim.Fault{Status: 503}, says: "ServiceUnavailable"},
		{name: "throttled", fault: awssim.Fault{Code: "ThrottlingException"}, says: "ThrottlingException"},
		{name: "cut", fault: awssim.Fault{Cut: true}, says: "the connection was closed before a response"},
		{name: "hangs", fault: awssim.Fault{Hang: true}, says: "no response in time"},
	}
	refusing = []state{
		{name: "not found", fault: awssim.Fault{Code: "ResourceNotFoundException"}, code: codes.NotFound, says: "ResourceNotFoundException"},
		{name: "denied", fault: awssim.Fault{Code: "AccessDeniedException"}, code: codes.PermissionDenied, says: "AccessDeniedException"},
	}
)

func (s state) refuses() bool { return s.code != codes.OK }
func (s state) fails() bool   { return s.says != "" && !s.refuses() }

// row is a secret in two regions, with the behaviour of each region.
type row struct {
	primary, failover state
	secret            string
}

// everyRow returns every combination of states of the two regions.
func everyRow() []row {
	states := slices.Concat([]state{regionOK}, transient, refusing)
	var rows []row
	for _, primary := range states {
		for _, failover := range states {
			rows = append(rows, row{primary, failover, fmt.Sprintf("prod/%d", len(rows))})
		}
	}
	return rows
}

// groupRows groups rows by the rig that they share. Each row with throttling has its own rig, because the SDK's
// client of a region slows down every read after throttling.
func groupRows(rows []row) [][]row {
	shared := [][]row{nil}
	for _, w := range rows {
		if w.primary.name == "throttled" || w.failover.name == "throttled" {
			shared = append(shared, []row{w})
		} else {
			shared[0] = append(shared[0], w)
		}
	}
	return shared
}

// twoRegions returns a rig with the rows' secrets. The attempt timeout is short, because some rows have a region
// that hangs.
func twoRegions(t *testing.T, o rig.Options, rows ...row) (*rig.Rig, *rig.Clock) {
	t.Helper()
	o.AWS = awsclient.Options{MaxAttempts: 1, AttemptTimeout: 2 * time.Second}
	if len(rows) > 1 {
		o.AWS.AttemptTimeout = 4 * time.Second
	}
	r, clock := freshRig(t, o)
	for _, w := range rows {
		r.AWS.PutSecret(rig.Region, w.secret, "one")
		r.AWS.PutSecret(failoverRegion, w.secret, "failover one")
	}
	return r, clock
}

// begin puts the regions into the states of the row until end is called.
func (w row) begin(r *rig.Rig) (end func()) {
	var ends []func()
	for region, s := range map[string]state{rig.Region: w.primary, failoverRegion: w.failover} {
		if f := s.fault; f != (awssim.Fault{}) {
			f.Service, f.Region, f.Object = "secretsmanager", region, w.secret
			ends = append(ends, r.AWS.Inject(f))
		}
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// mount is the mount of a pod that only this row uses. Its volume has one file.
func (w row) mount() rig.Mount {
	return rig.Mount{
		Pod: "pod of " + w.secret, Objects: "- {objectName: " + w.secret + ", objectType: secretsmanager, objectAlias: file}\n",
		Parameters: map[string]string{"failoverRegion": failoverRegion},
	}
}

// mountRows mounts the pods of all rows concurrently.
func mountRows(t *testing.T, r *rig.Rig, rows []row) ([]*v1alpha1.MountResponse, []error) {
	t.Helper()
	responses, errs := make([]*v1alpha1.MountResponse, len(rows)), make([]error, len(rows))
	var all sync.WaitGroup
	for i, w := range rows {
		req := r.Request(w.mount())
		all.Go(func() { responses[i], errs[i] = r.Client.Mount(t.Context(), req) })
	}
	all.Wait()
	return responses, errs
}

// reads counts the reads of the row's secret by region since the last ResetCalls. Except for the call for
// credentials, any other call fails the test, because the role has no permission for it.
func (w row) reads(t *testing.T, r *rig.Rig) map[string]int {
	t.Helper()
	reads := map[string]int{}
	for _, c := range r.AWS.CallLog() {
		switch call := c.Service + ":" + c.Operation; {
		case call == getSecret && c.Object == w.secret:
			reads[c.Region]++
		case call != getSecret && call != assumeWebIdentity:
			t.Errorf("call of %s", call)
		}
	}
	return reads
}

// check compares the result of a mount with rules R1 and R2.
func (w row) check(t *testing.T, resp *v1alpha1.MountResponse, err error) {
	t.Helper()
	message := status.Convert(err).Message()
	names := func(s state, region string) bool {
		return strings.Contains(message, fmt.Sprintf("cannot read secret %q in %s: ", w.secret, region)) && strings.Contains(message, s.says)
	}
	const second = "the failover region " + failoverRegion
	switch {
	case w.primary.refuses():
		if status.Code(err) != w.primary.code || !names(w.primary, rig.Region) {
			t.Errorf("%v, want %v with region and cause of the primary", err, w.primary.code)
		}
	case w.failover.refuses():
		if status.Code(err) != w.failover.code || !names(w.failover, second) {
			t.Errorf("%v, want %v with region and cause of the failover region", err, w.failover.code)
		}
	case w.primary.fails() && w.failover.fails():
		if status.Code(err) != codes.Internal || !names(w.primary, rig.Region) || !names(w.failover, second) {
			t.Errorf("%v, want %v with both regions and causes", err, codes.Internal)
		}
	default:
		if err != nil {
			t.Fatalf("%v, want a mount", err)
		}
		want := "one"
		if w.primary.fails() {
			want = "failover one"
		}
		if got := string(resp.GetFiles()[0].GetContents()); got != want {
			t.Errorf("content %q, want %q", got, want)
		}
	}
}

func TestR2_FirstMountReadsBothRegions(t *testing.T) {
	for _, rows := range groupRows(everyRow()) {
		r, _ := twoRegions(t, rig.Options{}, rows...)
		for _, w := range rows {
			w.begin(r)
		}
		responses, errs := mountRows(t, r, rows)
		for i, w := range rows {
			t.Run(w.primary.name+", "+w.failover.name, func(t *testing.T) {
				w.check(t, responses[i], errs[i])
				if diff := gocmp.Diff(map[string]int{rig.Region: 1, failoverRegion: 1}, w.reads(t, r)); diff != "" {
					t.Errorf("reads (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A republish reads the failover region only when the primary fails. Each region is read at most once: later
// republishes use the cache or wait for the backoff.
func TestR3_RepublishReadsFailoverRegionOnlyWhenPrimaryFails(t *testing.T) {
	for _, rows := range groupRows(everyRow()) {
		r, clock := twoRegions(t, rig.Options{RefreshInterval: time.Minute}, rows...)
		if _, errs := mountRows(t, r, rows); errors.Join(errs...) != nil {
			t.Fatal(errors.Join(errs...))
		}
		for _, w := range rows {
			w.begin(r)
		}
		clock.Advance(2 * time.Minute)
		r.AWS.ResetCalls()
		for range 3 {
			responses, errs := mountRows(t, r, rows)
			for i, w := range rows {
				t.Run(w.primary.name+", "+w.failover.name, func(t *testing.T) {
					want := map[string]int{rig.Region: 1}
					if w.primary.fails() {
						want[failoverRegion] = 1
					} else {
						w.failover = regionOK // it is not read
					}
					w.check(t, responses[i], errs[i])
					if diff := gocmp.Diff(want, w.reads(t, r)); diff != "" {
						t.Errorf("reads (-want +got):\n%s", diff)
					}
				})
			}
		}
	}
}

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
