package server_test

import (
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
