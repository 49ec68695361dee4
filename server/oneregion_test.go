package server_test

import (
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// A database's user and password are a pair: those of two regions do not fit together.
const (
	userName     = "db/user"
	passwordName = "db/password"
	pairObjects  = "- {objectName: db/user, objectType: secretsmanager, objectAlias: user}\n- {objectName: db/password, objectType: secretsmanager, objectAlias: password}\n"
)

var (
	pairAtHome = map[string]string{"user": "user", "password": "password"}
	pairAbroad = map[string]string{"user": "user abroad", "password": "password abroad"}
)

// pairRig has the pair in both regions.
func pairRig(t *testing.T) (*rig.Rig, *rig.Clock) {
	t.Helper()
	r, clock, _ := oneRow(t, rig.Options{RefreshInterval: time.Minute})
	r.AWS.PutSecret(rig.Region, userName, "user")
	r.AWS.PutSecret(rig.Region, passwordName, "password")
	r.AWS.PutSecret(abroad, userName, "user abroad")
	r.AWS.PutSecret(abroad, passwordName, "password abroad")
	r.AWS.ResetCalls()
	return r, clock
}

// outage has one secret of one region answer 503, until end.
func outage(r *rig.Rig, region, secret string) (end func()) {
	return r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Region: region, Object: secret, Status: 503})
}

func pairPod(name string) rig.Mount {
	return rig.Mount{Pod: name, Objects: pairObjects, Parameters: map[string]string{"failoverRegion": abroad}}
}

func wantPair(t *testing.T, r *rig.Rig, pod string, want map[string]string) {
	t.Helper()
	if diff := gocmp.Diff(want, r.Files(pairPod(pod))); diff != "" {
		t.Errorf("pod %s (-want +got):\n%s", pod, diff)
	}
}

func TestR1_FirstMountTakesBothObjectsFromOneRegion(t *testing.T) {
	for _, failing := range []string{userName, passwordName} {
		t.Run(failing, func(t *testing.T) {
			r, _ := pairRig(t)
			outage(r, rig.Region, failing)
			wantPair(t, r, "a", pairAbroad)
			wantCallsOf(t, r, map[string]int{assume: 1, getSecret: 4})
		})
	}
}

func TestR2_NeitherRegionIsComplete(t *testing.T) {
	r, _ := pairRig(t)
	outage(r, rig.Region, passwordName)
	outage(r, abroad, userName)
	_, err := r.Mount(pairPod("a"))
	message := status.Convert(err).Message()
	if status.Code(err) != codes.Internal ||
		!strings.Contains(message, `cannot read secret "db/password" in `+rig.Region+`: `) ||
		!strings.Contains(message, `cannot read secret "db/user" in the failover region `+abroad+`: `) {
		t.Errorf("%v, want %v with the cause in either region", err, codes.Internal)
	}
}

func TestR3_RepublishTakesBothObjectsFromOneRegion(t *testing.T) {
	for _, failing := range []string{userName, passwordName} {
		t.Run(failing, func(t *testing.T) {
			r, clock := pairRig(t)
			wantPair(t, r, "a", pairAtHome)
			end := outage(r, rig.Region, failing)
			clock.Advance(2 * time.Minute)
			r.AWS.ResetCalls()
			wantPair(t, r, "a", pairAbroad)
			wantCallsOf(t, r, map[string]int{getSecret: 4})
			wantPair(t, r, "a", pairAbroad) // from the cache
			wantCallsOf(t, r, map[string]int{getSecret: 4})
			end()
			clock.Advance(2 * time.Minute)
			wantPair(t, r, "a", pairAtHome)
		})
	}
}

func TestR4_LastKnownValuesComeFromOneRegion(t *testing.T) {
	t.Run("the primary's", func(t *testing.T) {
		r, clock := pairRig(t)
		wantPair(t, r, "a", pairAtHome)
		outage(r, rig.Region, passwordName)
		outage(r, abroad, userName)
		clock.Advance(2 * time.Second)
		wantPair(t, r, "b", pairAtHome)
		const warning = `level=WARN msg="AWS failed, served last known values" region=` + rig.Region + ` values=1 oldest=`
		if n := strings.Count(r.Logs(), warning); n != 1 {
			t.Errorf("%d warnings %s, want 1:\n%s", n, warning, r.Logs())
		}
	})
	t.Run("the failover region's, where the primary has none", func(t *testing.T) {
		r, clock := pairRig(t)
		outage(r, rig.Region, passwordName)
		wantPair(t, r, "a", pairAbroad)
		outage(r, abroad, userName)
		clock.Advance(2 * time.Second)
		wantPair(t, r, "b", pairAbroad)
	})
	t.Run("of one value each, which is no pair", func(t *testing.T) {
		r, clock := pairRig(t)
		outage(r, rig.Region, passwordName)
		outage(r, abroad, userName)
		if _, err := r.Mount(pairPod("a")); status.Code(err) != codes.Internal {
			t.Errorf("%v, want %v", err, codes.Internal)
		}
		r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Status: 503})
		clock.Advance(2 * time.Second)
		if resp, err := r.Mount(pairPod("b")); status.Code(err) != codes.Internal {
			t.Errorf("%v, %v, want %v", resp, err, codes.Internal)
		}
	})
}
