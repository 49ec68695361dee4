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

// A database's user and password are a pair. A user of one region does not match the password of another.
const (
	userName     = "db/user"
	passwordName = "db/password"
	pairObjects  = "- {objectName: db/user, objectType: secretsmanager, objectAlias: user}\n- {objectName: db/password, objectType: secretsmanager, objectAlias: password}\n"
)

var (
	primaryPair  = map[string]string{"user": "user", "password": "password"}
	failoverPair = map[string]string{"user": "failover user", "password": "failover password"}
)

// pairRig returns a rig with the pair in both regions.
func pairRig(t *testing.T) (*rig.Rig, *rig.Clock) {
	t.Helper()
	r, clock, _ := oneRow(t, rig.Options{RefreshInterval: time.Minute})
	r.AWS.PutSecret(rig.Region, userName, "user")
	r.AWS.PutSecret(rig.Region, passwordName, "password")
	r.AWS.PutSecret(failoverRegion, userName, "failover user")
	r.AWS.PutSecret(failoverRegion, passwordName, "failover password")
	r.AWS.ResetCalls()
	return r, clock
}

// outage makes one secret of one region return 503 until end is called.
func outage(r *rig.Rig, region, secret string) (end func()) {
	return r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Region: region, Object: secret, Status: 503})
}

func pairPod(name string) rig.Mount {
	return rig.Mount{Pod: name, Objects: pairObjects, Parameters: map[string]string{"failoverRegion": failoverRegion}}
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
			wantPair(t, r, "a", failoverPair)
			wantCallsOf(t, r, map[string]int{assumeWebIdentity: 1, getSecret: 4})
		})
	}
}

func TestR2_NeitherRegionIsComplete(t *testing.T) {
	r, _ := pairRig(t)
	outage(r, rig.Region, passwordName)
	outage(r, failoverRegion, userName)
	_, err := r.Mount(pairPod("a"))
	message := status.Convert(err).Message()
	if status.Code(err) != codes.Internal ||
		!strings.Contains(message, `cannot read secret "db/password" in `+rig.Region+`: `) ||
		!strings.Contains(message, `cannot read secret "db/user" in the failover region `+failoverRegion+`: `) {
		t.Errorf("%v, want %v with the causes in both regions", err, codes.Internal)
	}
}

func TestR3_RepublishTakesBothObjectsFromOneRegion(t *testing.T) {
	for _, failing := range []string{userName, passwordName} {
		t.Run(failing, func(t *testing.T) {
			r, clock := pairRig(t)
			wantPair(t, r, "a", primaryPair)
			end := outage(r, rig.Region, failing)
			clock.Advance(2 * time.Minute)
			r.AWS.ResetCalls()
			wantPair(t, r, "a", failoverPair)
			wantCallsOf(t, r, map[string]int{getSecret: 4})
			wantPair(t, r, "a", failoverPair) // from the cache
			wantCallsOf(t, r, map[string]int{getSecret: 4})
			end()
			clock.Advance(2 * time.Minute)
			wantPair(t, r, "a", primaryPair)
		})
	}
}

func TestR4_LastKnownValuesComeFromOneRegion(t *testing.T) {
	t.Run("the primary's", func(t *testing.T) {
		r, clock := pairRig(t)
		wantPair(t, r, "a", primaryPair)
		outage(r, rig.Region, passwordName)
		outage(r, failoverRegion, userName)
		clock.Advance(2 * time.Second)
		wantPair(t, r, "b", primaryPair)
		const warning = `level=WARN msg="AWS failed, served last known values" region=` + rig.Region + ` values=1 oldest=`
		if n := strings.Count(r.Logs(), warning); n != 1 {
			t.Errorf("%d warnings %s, want 1:\n%s", n, warning, r.Logs())
		}
	})
	t.Run("the failover region's when the primary has none", func(t *testing.T) {
		r, clock := pairRig(t)
		outage(r, rig.Region, passwordName)
		wantPair(t, r, "a", failoverPair)
		outage(r, failoverRegion, userName)
		clock.Advance(2 * time.Second)
		wantPair(t, r, "b", failoverPair)
	})
	t.Run("each region has only one value", func(t *testing.T) {
		r, clock := pairRig(t)
		outage(r, rig.Region, passwordName)
		outage(r, failoverRegion, userName)
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
