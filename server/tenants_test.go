package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

const neighbour = "neighbour-sa"

// tenantsRig has a neighbour of payment-sa, with a role of its own, and secrets that are large.
func tenantsRig(t *testing.T, o rig.Options, secrets int) (*rig.Rig, *rig.Clock) {
	t.Helper()
	large := strings.Repeat("x", 60_000)
	for i := range secrets {
		o.State.Secrets = append(o.State.Secrets, awssim.Secret{Region: rig.Region, Name: fmt.Sprint("large-", i), Value: large})
	}
	r, clock := freshRig(t, o)
	if err := r.AWS.AddRole(awssim.Role{Name: neighbour, TrustPolicy: r.Issuer.TrustPolicy(rig.Namespace, neighbour), Policies: []awssim.Document{rig.ReadSecrets}}); err != nil {
		t.Fatal(err)
	}
	r.Kube.SetServiceAccount(rig.Namespace, neighbour, map[string]string{rig.RoleAnnotation: "arn:aws:iam::123456789012:role/" + neighbour})
	r.AWS.ResetCalls()
	return r, clock
}

// larges is the text of `objects` for the first n large secrets.
func larges(n int) string {
	var objects strings.Builder
	for i := range n {
		fmt.Fprintf(&objects, "- {objectName: large-%d, objectType: secretsmanager}\n", i)
	}
	return objects.String()
}

func TestT13_ReadingStopsWhenTheVolumeCannotFit(t *testing.T) {
	r, _ := tenantsRig(t, rig.Options{}, 500)
	_, err := r.Mount(rig.Mount{Objects: larges(500)})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "the volume is too large in "+rig.Region) {
		t.Fatalf("%v, want %v for the size", err, codes.FailedPrecondition)
	}
	for r.Metric("secrets_provider_aws_in_flight_bytes") != 0 { // until the reads of the refused volume have ended
		time.Sleep(time.Millisecond)
	}
	// 70 values exceed 4 MiB; up to 24 more reads run at that moment, and as many may have just started.
	if reads := r.AWS.Calls()[getSecret]; reads > 70+2*24 {
		t.Errorf("%d reads, want it to stop after about 70", reads)
	}
}

func TestT13_ASharedReadGoesOn(t *testing.T) {
	const secrets = 200
	r, _ := tenantsRig(t, rig.Options{AWSDelay: 20 * time.Millisecond}, secrets)
	small := rig.Mount{Pod: "small", Objects: fmt.Sprintf("- {objectName: large-%d, objectType: secretsmanager, objectAlias: one}\n", secrets-1)}
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := r.Mount(rig.Mount{Pod: "large", Objects: larges(secrets)}); status.Code(err) != codes.FailedPrecondition {
			t.Errorf("the large volume: %v, want %v", err, codes.FailedPrecondition)
		}
	})
	for r.AWS.Calls()[getSecret] == 0 {
		time.Sleep(time.Millisecond)
	}
	if got := r.Files(small)["one"]; len(got) != 60_000 { // in flight for the large volume, or read for this one
		t.Errorf("%d bytes, want the secret", len(got))
	}
	all.Wait()
}

func TestT14_SelectedContentCounts(t *testing.T) {
	var jmesPath strings.Builder
	for i := range 200 {
		fmt.Fprintf(&jmesPath, "    - {path: '@', objectAlias: copy-%d}\n", i)
	}
	state := awssim.State{Secrets: []awssim.Secret{{Region: rig.Region, Name: "json", Value: `{"k":"` + strings.Repeat("x", 60_000) + `"}`}}}
	r, _ := freshRig(t, rig.Options{State: state})
	_, err := r.Mount(rig.Mount{Objects: "- objectName: json\n  objectType: secretsmanager\n  jmesPath:\n" + jmesPath.String()})
	// Of 201 files of 60,000 bytes the 70th exceeds 4 MiB.
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "its first 70 files take ") {
		t.Errorf("%v, want %v after 70 files", err, codes.FailedPrecondition)
	}
}

// Volumes that together need far more than the memory are all mounted, one after the other, and leave nothing.
func TestT15_MemoryComesBackWithTheResponse(t *testing.T) {
	const pods = 12
	r, _ := tenantsRig(t, rig.Options{InFlight: 1 << 20}, 68)
	var all sync.WaitGroup
	for i := range pods {
		account := []string{rig.ServiceAccount, neighbour}[i%2]
		req := r.Request(rig.Mount{ServiceAccount: account, Pod: fmt.Sprint("pod-", i), Objects: larges(68)})
		all.Go(func() {
			resp, err := r.Client.Mount(t.Context(), req)
			if err != nil || len(resp.GetFiles()) != 68 {
				t.Errorf("%d files and error %v, want 68", len(resp.GetFiles()), err)
			}
		})
	}
	all.Wait()
	for r.Metric("secrets_provider_aws_in_flight_bytes") != 0 { // the last response may still be on its way out of the server
		time.Sleep(time.Millisecond)
	}
	if limit := r.Metric("secrets_provider_aws_in_flight_limit_bytes"); limit != 1<<20 {
		t.Errorf("limit %v, want that of the server", limit)
	}
}

func TestT15_NoMemoryInTimeIsAFinalCode(t *testing.T) {
	// There is memory for one request: it exceeds the limit, as one may, and its read hangs.
	r, _ := tenantsRig(t, rig.Options{InFlight: 1, MountTimeout: 10 * time.Second, AWS: awsclient.Options{AttemptTimeout: time.Minute}}, 1)
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Hang: true, Object: "prod/db"})
	var all sync.WaitGroup
	hanging, end := context.WithCancel(t.Context())
	req := r.Request(pod("hangs"))
	all.Go(func() { _, _ = r.Client.Mount(hanging, req) })
	for r.AWS.Calls()[getSecret] == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // ends before the first mount does
	defer cancel()
	_, err := r.Client.Mount(ctx, r.Request(rig.Mount{ServiceAccount: neighbour, Pod: "waits", Objects: larges(1)}))
	if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "no free memory") {
		t.Errorf("%v, want %v for the memory", err, codes.Internal)
	}
	end()
	all.Wait()
}

func TestT16_AFloodEvictsItsOwnValues(t *testing.T) {
	r, clock := tenantsRig(t, rig.Options{CacheMaxBytes: 4 << 20, RefreshInterval: time.Hour}, 60)
	neighbours := rig.Mount{ServiceAccount: neighbour, Pod: "neighbour", Objects: larges(5)}
	r.Files(neighbours)
	clock.Advance(time.Minute)
	r.Files(rig.Mount{Pod: "flood", Objects: larges(60)}) // 60 × 60,000 bytes, each counted twice
	clock.Advance(time.Minute)
	if bytes := r.Metric("secrets_provider_aws_cache_bytes"); bytes > 2<<20 {
		t.Errorf("%v bytes are cached, want at most a quarter of 4 MiB for each of two", bytes)
	}
	r.AWS.ResetCalls()
	r.Files(neighbours)
	if diff := gocmp.Diff(map[string]int{}, r.AWS.Calls()); diff != "" {
		t.Errorf("calls for the neighbour's republish (-want +got):\n%s", diff)
	}
}

// The controller sends its own pod, one target path, no name of a class, and a token of no pod.
func TestT17_SyncControllerGetsFirstMounts(t *testing.T) {
	r, clock := freshRig(t, rig.Options{RefreshInterval: time.Hour})
	sync := func(objects string) (map[string]string, error) {
		req := r.Request(rig.Mount{
			Pod: "secrets-store-sync-controller-7d4b9", Objects: objects, Parameters: map[string]string{"secretProviderClass": ""},
			Tokens: map[string]string{"sts.amazonaws.com": r.Token(awssim.Token{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, TTL: rig.LongTTL})},
		})
		req.TargetPath = "/mnt/secrets-store"
		resp, err := r.Client.Mount(t.Context(), req)
		files := map[string]string{}
		for _, f := range resp.GetFiles() {
			files[f.GetPath()] = string(f.GetContents())
		}
		return files, err
	}
	want := func(objects, file, content string) {
		t.Helper()
		files, err := sync(objects)
		if err != nil || files[file] != content {
			t.Errorf("%v, %v, want %s = %s", files, err, file, content)
		}
	}
	const late = "- {objectName: late, objectType: secretsmanager}\n"
	want(oneSecret, "prod_db", "one")
	if _, err := sync(late); status.Code(err) != codes.NotFound {
		t.Errorf("%v, want %v", err, codes.NotFound)
	}
	r.AWS.PutSecret(rig.Region, "prod/db", "two")
	r.AWS.PutSecret(rig.Region, "late", "here")
	clock.Advance(2 * time.Second)
	want(oneSecret, "prod_db", "two") // not the first one's for an hour
	want(late, "late", "here")        // no backoff
}

func TestT54_ParsingTakesMemory(t *testing.T) {
	r, _ := tenantsRig(t, rig.Options{InFlight: 1 << 20}, 0)
	long := oneSecret + "#" + strings.Repeat("x", 200<<10) + "\n" // 25 MiB of memory while it is parsed
	var all sync.WaitGroup
	for i := range 8 {
		req := r.Request(rig.Mount{Pod: fmt.Sprint("pod-", i), Objects: long})
		all.Go(func() {
			if _, err := r.Client.Mount(t.Context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	_, err := r.Mount(rig.Mount{Objects: oneSecret + "#" + strings.Repeat("x", 256<<10)})
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "one volume takes at most 256 KiB") {
		t.Errorf("%v, want %v for the length", err, codes.InvalidArgument)
	}
}
