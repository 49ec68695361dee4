package server_test

import (
	"cmp"
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

// These tests check section F of docs/contract.md on the whole server. They move the clock and count calls.

const (
	getSecret         = "secretsmanager:GetSecretValue"
	assumeWebIdentity = "sts:AssumeRoleWithWebIdentity"
	assumeRole        = "sts:AssumeRole"
	agentCredentials  = "pod-identity:GetCredentials"
	oneSecret         = "- {objectName: prod/db, objectType: secretsmanager}\n"
)

func freshRig(t *testing.T, o rig.Options) (*rig.Rig, *rig.Clock) {
	t.Helper()
	clock := rig.NewClock()
	o.Now = clock.Now
	o.DefaultRegion = rig.Region
	r := rig.New(t, o)
	r.AWS.PutSecret(rig.Region, "prod/db", "one")
	return r, clock
}

func pod(name string) rig.Mount { return rig.Mount{Pod: name, Objects: oneSecret} }

func wantFile(t *testing.T, r *rig.Rig, m rig.Mount, want string) {
	t.Helper()
	if got := r.Files(m)["prod_db"]; got != want {
		t.Errorf("pod %s has %q, want %q", m.Pod, got, want)
	}
}

func wantCallsOf(t *testing.T, r *rig.Rig, want map[string]int) {
	t.Helper()
	if diff := gocmp.Diff(want, r.AWS.Calls()); diff != "" {
		t.Errorf("AWS calls (-want +got):\n%s", diff)
	}
}

func wantCode(t *testing.T, r *rig.Rig, m rig.Mount, want codes.Code) {
	t.Helper()
	if _, err := r.Mount(m); status.Code(err) != want {
		t.Errorf("pod %s: %v, want code %v", m.Pod, err, want)
	}
}

func TestF10_FirstMountHasTheNewValueAtOnce(t *testing.T) {
	r, clock := freshRig(t, rig.Options{})
	wantFile(t, r, pod("a"), "one")
	r.AWS.PutSecret(rig.Region, "prod/db", "two")
	clock.Advance(time.Second + time.Millisecond) // the window in which mounts share a read has ended
	wantFile(t, r, pod("b"), "two")
	wantFile(t, r, pod("a"), "two") // a republish gets it too, without a call
	wantCallsOf(t, r, map[string]int{getSecret: 2, assumeWebIdentity: 1})
}

func TestF12_RepublishesOfOneServiceAccountCostOneReadPerInterval(t *testing.T) {
	const pods, intervals = 100, 5
	r, clock := freshRig(t, rig.Options{RefreshInterval: 2 * time.Minute})
	for i := range pods {
		r.Files(pod(fmt.Sprintf("p%d", i)))
	}
	r.AWS.ResetCalls()
	for range intervals {
		clock.Advance(2*time.Minute + 12*time.Second + time.Millisecond) // an interval and its jitter
		for i := range pods {
			r.Files(pod(fmt.Sprintf("p%d", i)))
		}
	}
	wantCallsOf(t, r, map[string]int{getSecret: intervals})
}

func TestF11_RotatedValueArrivesWithinTheRefreshInterval(t *testing.T) {
	for _, tt := range []struct {
		name       string
		parameters map[string]string
		interval   time.Duration
	}{
		{"the provider's --refresh-interval", nil, 2 * time.Minute},
		{"the class's refreshInterval", map[string]string{"refreshInterval": "10s"}, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, clock := freshRig(t, rig.Options{RefreshInterval: 2 * time.Minute})
			m := pod("a")
			m.Parameters = tt.parameters
			wantFile(t, r, m, "one")
			r.AWS.PutSecret(rig.Region, "prod/db", "two")
			clock.Advance(tt.interval * 8 / 10)
			wantFile(t, r, m, "one")
			clock.Advance(tt.interval * 4 / 10)
			wantFile(t, r, m, "two")
		})
	}
}

func TestF13_PinnedVersionIsReadOnceForRepublishes(t *testing.T) {
	r, clock := freshRig(t, rig.Options{})
	id := r.AWS.PutSecret(rig.Region, "prod/db", "two")
	m := rig.Mount{Pod: "a", Objects: "- {objectName: prod/db, objectType: secretsmanager, objectVersion: " + id + "}\n"}
	for range 10 {
		wantFile(t, r, m, "two")
		clock.Advance(3 * time.Minute)
	}
	wantCallsOf(t, r, map[string]int{getSecret: 1, assumeWebIdentity: 1})
}

// Two identities never share credentials or values, even when everything else is equal.
func TestF1_IdentitiesNeverShare(t *testing.T) {
	const otherARN = "arn:aws:iam::123456789012:role/other-role"
	type parameters = map[string]string
	both := map[string]int{getSecret: 2, assumeWebIdentity: 2}
	tests := []struct {
		name  string
		first parameters // of payment-sa
		other rig.Mount
		calls map[string]int
	}{
		{"same role, another ServiceAccount", nil, rig.Mount{ServiceAccount: "other-sa"}, both},
		{"same name, another namespace", nil, rig.Mount{Namespace: "billing"}, both},
		{"same ServiceAccount, another role", nil, rig.Mount{Parameters: parameters{"roleArn": otherARN}}, both},
		{"same role, then another role", nil, rig.Mount{Parameters: parameters{"assumeRoleArn": otherARN}}, map[string]int{getSecret: 2, assumeWebIdentity: 2, assumeRole: 1}},
		{"same role, then the role itself", nil, rig.Mount{Parameters: parameters{"assumeRoleArn": rig.RoleARN}}, map[string]int{getSecret: 2, assumeWebIdentity: 2, assumeRole: 1}},
		{"same two roles, another ServiceAccount", parameters{"assumeRoleArn": otherARN}, rig.Mount{ServiceAccount: "other-sa", Parameters: parameters{"assumeRoleArn": otherARN}},
			map[string]int{getSecret: 2, assumeWebIdentity: 2, assumeRole: 2}},
		{"same two roles, with an external id", parameters{"assumeRoleArn": otherARN}, rig.Mount{Parameters: parameters{"assumeRoleArn": otherARN, "externalId": "one"}},
			map[string]int{getSecret: 2, assumeWebIdentity: 2, assumeRole: 2}},
		{"same two roles, another external id", parameters{"assumeRoleArn": otherARN, "externalId": "two"}, rig.Mount{Parameters: parameters{"assumeRoleArn": otherARN, "externalId": "one"}},
			map[string]int{getSecret: 2, assumeWebIdentity: 2, assumeRole: 2}},
		{"Pod Identity, another pod", parameters{"usePodIdentity": "true"}, rig.Mount{Parameters: parameters{"usePodIdentity": "true"}}, map[string]int{getSecret: 2, agentCredentials: 2}},
		{"Pod Identity, then one role, another pod", parameters{"usePodIdentity": "true", "assumeRoleArn": otherARN}, rig.Mount{Parameters: parameters{"usePodIdentity": "true", "assumeRoleArn": otherARN}},
			map[string]int{getSecret: 2, agentCredentials: 2, assumeRole: 2}},
		{"Pod Identity, the same pod by web identity", parameters{"usePodIdentity": "true"}, rig.Mount{Pod: "a", Class: "another"}, map[string]int{getSecret: 2, agentCredentials: 1, assumeWebIdentity: 1}},
		{"Pod Identity, the same pod with another role", parameters{"usePodIdentity": "true"}, rig.Mount{Pod: "a", Parameters: parameters{"usePodIdentity": "true", "assumeRoleArn": otherARN}},
			map[string]int{getSecret: 2, agentCredentials: 2, assumeRole: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := freshRig(t, rig.Options{})
			m := tt.other
			m.Pod, m.Objects = cmp.Or(m.Pod, "b"), oneSecret
			namespace, account := cmp.Or(m.Namespace, rig.Namespace), cmp.Or(m.ServiceAccount, rig.ServiceAccount)
			r.Kube.SetServiceAccount(namespace, account, map[string]string{rig.RoleAnnotation: rig.RoleARN})
			// Both roles trust everybody and may read the secret, so a shared value would be served without an error.
			policies := []awssim.Document{rig.ReadSecrets, awssim.AllowPolicy("*", "sts:AssumeRole", "sts:TagSession")}
			for _, role := range []string{rig.RoleARN, otherARN} {
				if err := r.AWS.SetRole(awssim.Role{ARN: role, TrustPolicy: trustEverybody(r.Issuer), Policies: policies}); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.AWS.AddPodIdentityAssociation(awssim.PodIdentityAssociation{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, RoleARN: rig.RoleARN}); err != nil {
				t.Fatal(err)
			}
			first := pod("a")
			first.Parameters = tt.first
			for range 2 { // the second round needs no call
				wantFile(t, r, first, "one")
				wantFile(t, r, m, "one")
			}
			wantCallsOf(t, r, tt.calls)
		})
	}
	t.Run("a ServiceAccount recreated with the same name", func(t *testing.T) {
		r, _ := freshRig(t, rig.Options{})
		for _, uid := range []string{"first", "second"} {
			m := pod("pod-of-" + uid)
			m.Tokens = map[string]string{"sts.amazonaws.com": r.Token(awssim.Token{
				Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, ServiceAccountUID: uid, TTL: rig.LongTTL,
			})}
			wantFile(t, r, m, "one")
		}
		wantCallsOf(t, r, map[string]int{getSecret: 2, assumeWebIdentity: 2})
	})
}

// trustEverybody trusts every ServiceAccount of the issuer, every pod with Pod Identity and every role of the account.
func trustEverybody(issuer *awssim.Issuer) awssim.Document {
	return awssim.Document(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Federated":%q},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{%q:"sts.amazonaws.com"}}},
		{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com","AWS":"arn:aws:iam::123456789012:root"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`,
		issuer.ProviderARN(), issuer.ConditionKey("aud")))
}

func TestF4_ChangedRoleAnnotationTakesEffect(t *testing.T) {
	r, clock := freshRig(t, rig.Options{})
	wantFile(t, r, pod("a"), "one")
	if err := r.AWS.AddRole(awssim.Role{Name: "new-role", TrustPolicy: r.Issuer.TrustPolicy(rig.Namespace, rig.ServiceAccount)}); err != nil {
		t.Fatal(err)
	}
	r.Kube.SetServiceAccount(rig.Namespace, rig.ServiceAccount, map[string]string{rig.RoleAnnotation: "arn:aws:iam::123456789012:role/new-role"})
	clock.Advance(30 * time.Second)
	wantCode(t, r, pod("a"), codes.PermissionDenied) // the new role may read nothing, and the value of the old role is not served to it
}

func TestF16_FirstMountGetsLastKnownValueInAnOutage(t *testing.T) {
	outages := map[string]awssim.Fault{
		"Secrets Manager returns 503": {Service: "secretsmanager", Status: 503},
		"everything returns 500":      {Status: 500},
		"connections are cut":         {Cut: true},
		"throttled":                   {Service: "secretsmanager", Code: "ThrottlingException", Status: 400},
	}
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			// A throttled mount would go on for a minute. How often AWS is asked is tested in awsclient.
			r, clock := freshRig(t, rig.Options{MaxStale: time.Hour, RefreshInterval: time.Hour, AWS: awsclient.Options{MaxAttempts: 1}})
			wantFile(t, r, pod("a"), "one")
			remove := r.AWS.Inject(outage)
			clock.Advance(59 * time.Minute)
			wantFile(t, r, pod("b"), "one")
			if !strings.Contains(r.Logs(), "served last known values") || !strings.Contains(r.Logs(), "stale=1") {
				t.Error("the log does not show the stale value")
			}
			unknown := pod("c")
			unknown.Objects = "- {objectName: prod/other, objectType: secretsmanager}\n"
			wantCode(t, r, unknown, codes.Internal)
			clock.Advance(2 * time.Minute)
			wantCode(t, r, pod("d"), codes.Internal) // older than --max-stale
			remove()
			wantFile(t, r, pod("d"), "one")
		})
	}
}

func TestF16_MaxStaleZeroServesNothingStale(t *testing.T) {
	r, clock := freshRig(t, rig.Options{MaxStale: rig.NoStale})
	wantFile(t, r, pod("a"), "one")
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Status: 503})
	clock.Advance(2 * time.Second)
	wantCode(t, r, pod("b"), codes.Internal)
}

// A denial is not an outage: no earlier value is served, during the denial or after it.
func TestF17_RevokedRoleIsNotServedStale(t *testing.T) {
	revocations := map[string]func(*rig.Rig) error{
		"the policy": func(r *rig.Rig) error {
			return r.AWS.SetRole(awssim.Role{Name: rig.RoleName, TrustPolicy: r.Issuer.TrustPolicy(rig.Namespace, rig.ServiceAccount)})
		},
		"the trust": func(r *rig.Rig) error {
			return r.AWS.SetRole(awssim.Role{Name: rig.RoleName, Policies: []awssim.Document{rig.ReadSecrets}})
		},
	}
	for name, revoke := range revocations {
		t.Run(name, func(t *testing.T) {
			r, clock := freshRig(t, rig.Options{MaxStale: 100 * time.Hour, RefreshInterval: 24 * time.Hour})
			wantFile(t, r, pod("a"), "one")
			if err := revoke(r); err != nil {
				t.Fatal(err)
			}
			clock.Advance(61 * time.Minute) // the session has expired, so STS checks the trust policy again
			if _, err := r.Mount(pod("b")); status.Code(err) != codes.PermissionDenied && status.Code(err) != codes.Unauthenticated {
				t.Fatalf("after the revocation: %v", err)
			}
			r.AWS.Inject(awssim.Fault{Status: 503})
			clock.Advance(2 * time.Second)
			wantCode(t, r, pod("c"), codes.Internal)
		})
	}
}

// The driver hides a failed republish. The provider returns an error and backs off.
func TestF18_FailingRepublishIsAnErrorAndBacksOff(t *testing.T) {
	r, clock := freshRig(t, rig.Options{RefreshInterval: time.Minute})
	wantFile(t, r, pod("a"), "one")
	remove := r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Status: 503})
	clock.Advance(2 * time.Minute)
	r.AWS.ResetCalls()
	wantCode(t, r, pod("a"), codes.Internal)
	before := r.AWS.Calls()[getSecret]
	for range 10 {
		wantCode(t, r, pod("a"), codes.Internal)
		clock.Advance(time.Second)
	}
	if now := r.AWS.Calls()[getSecret]; now != before {
		t.Errorf("republishes within the backoff made %d more calls", now-before)
	}
	remove()
	clock.Advance(20 * time.Second)
	wantFile(t, r, pod("a"), "one")
}

func TestF6_CredentialsAreSharedAndRenewed(t *testing.T) {
	r, clock := freshRig(t, rig.Options{})
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() { r.Files(pod(fmt.Sprintf("p%d", i))) })
	}
	group.Wait()
	if calls := r.AWS.Calls(); calls[assumeWebIdentity] != 1 || calls[getSecret] != 1 {
		t.Errorf("20 concurrent pods of one ServiceAccount: %v, want one call each", calls)
	}
	clock.Advance(53 * time.Minute) // 5 minutes and the jitter before the end of an hour
	r.Files(pod("later"))
	if calls := r.AWS.Calls(); calls[assumeWebIdentity] != 1 {
		t.Errorf("credentials were renewed early: %v", calls)
	}
	clock.Advance(2*time.Minute + time.Second)
	r.Files(pod("last"))
	if calls := r.AWS.Calls(); calls[assumeWebIdentity] != 2 {
		t.Errorf("credentials were not renewed 5 minutes before their end: %v", calls)
	}
}

func TestF7_ExpiredCredentialsAreReplacedOnce(t *testing.T) {
	r, clock := freshRig(t, rig.Options{})
	wantFile(t, r, pod("a"), "one")
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Code: "ExpiredTokenException", Status: 400, Count: 1})
	clock.Advance(2 * time.Second)
	wantFile(t, r, pod("b"), "one")
	wantCallsOf(t, r, map[string]int{getSecret: 3, assumeWebIdentity: 2})
}

func TestF5_KnownRoleSurvivesAPIServerOutage(t *testing.T) {
	clock := rig.NewClock()
	r := rig.New(t, rig.Options{Now: clock.Now}) // the region comes from the node's label
	r.AWS.PutSecret(rig.Region, "prod/db", "one")
	wantFile(t, r, pod("a"), "one")
	r.Kube.Refuse("serviceaccounts", 503)
	r.Kube.Refuse("nodes", 503)
	clock.Advance(10 * time.Hour)
	wantFile(t, r, pod("b"), "one")
	if calls := r.Kube.Calls(); calls["GET nodes"] != 1 {
		t.Errorf("the node's region was read %d times, want once", calls["GET nodes"])
	}
	unknown := pod("c")
	unknown.ServiceAccount = "unknown-sa"
	wantCode(t, r, unknown, codes.Internal)
}

func TestF4_RoleIsLookedUpAtMostEvery30Seconds(t *testing.T) {
	r, clock := freshRig(t, rig.Options{})
	for i := range 29 {
		r.Files(pod(fmt.Sprintf("p%d", i)))
		clock.Advance(time.Second)
	}
	if calls := r.Kube.Calls(); calls["GET serviceaccounts"] != 1 {
		t.Errorf("29 mounts in 29 s cost %d lookups, want one", calls["GET serviceaccounts"])
	}
	clock.Advance(time.Second)
	r.Files(pod("later"))
	if calls := r.Kube.Calls(); calls["GET serviceaccounts"] != 2 {
		t.Errorf("after 30 s: %d lookups, want 2", calls["GET serviceaccounts"])
	}
}

func TestF3_RoleArnTakesNoKubernetesCall(t *testing.T) {
	r, _ := freshRig(t, rig.Options{})
	m := pod("a")
	m.Parameters = map[string]string{"roleArn": rig.RoleARN}
	wantFile(t, r, m, "one")
	if calls := r.Kube.Calls(); len(calls) != 0 {
		t.Errorf("Kubernetes calls: %v", calls)
	}
}

func TestA3_BatchesOfTwentyAreOptIn(t *testing.T) {
	policy := awssim.AllowPolicy("*", getSecret, "secretsmanager:BatchGetSecretValue")
	r, _ := freshRig(t, rig.Options{BatchSecrets: true, Policies: []awssim.Document{policy}})
	var objects strings.Builder
	want := map[string]string{"pinned": "v0"}
	for i := range 45 {
		name := fmt.Sprintf("s%02d", i)
		id := r.AWS.PutSecret(rig.Region, name, fmt.Sprintf("v%d", i))
		fmt.Fprintf(&objects, "- {objectName: %s, objectType: secretsmanager}\n", name)
		want[name] = fmt.Sprintf("v%d", i)
		if i == 0 {
			fmt.Fprintf(&objects, "- {objectName: %s, objectType: secretsmanager, objectAlias: pinned, objectVersion: %s}\n", name, id)
		}
	}
	if diff := gocmp.Diff(want, r.Files(rig.Mount{Objects: objects.String()})); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	wantCallsOf(t, r, map[string]int{"secretsmanager:BatchGetSecretValue": 3, getSecret: 1, assumeWebIdentity: 1})
}
