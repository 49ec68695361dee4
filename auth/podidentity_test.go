package auth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/test/awssim"
)

const (
	audienceEKS = "pods.eks.amazonaws.com"
	podRole     = "arn:aws:iam::123456789012:role/pod-role"
	noAgent     = "http://127.0.0.1:1" // refuses connections
)

// startPods starts an account that associates payments/payment-sa with pod-role.
func startPods(t testing.TB, change ...func(*auth.Config)) *account {
	t.Helper()
	a := startAccount(t, awssim.Config{}, change...)
	a.associate("payment-sa", "pod-role", awssim.PodIdentityTrustPolicy, awssim.AllowPolicy("*", "secretsmanager:GetSecretValue"))
	return a
}

func (a *account) associate(serviceAccount, role string, trust awssim.Document, policies ...awssim.Document) {
	a.t.Helper()
	if err := a.aws.AddRole(awssim.Role{Name: role, TrustPolicy: trust, Policies: policies}); err != nil {
		a.t.Fatal(err)
	}
	err := a.aws.AddPodIdentityAssociation(awssim.PodIdentityAssociation{
		Namespace: "payments", ServiceAccount: serviceAccount, RoleARN: "arn:aws:iam::123456789012:role/" + role, ClusterName: "prod",
	})
	if err != nil {
		a.t.Fatal(err)
	}
}

// ofPod returns a session of pod with a valid token for EKS.
func (a *account) ofPod(pod auth.Pod, credOptions auth.CredentialOptions) *auth.Session {
	a.t.Helper()
	token := a.token(pod, awssim.Token{Audience: []string{audienceEKS}})
	return a.session(pod, map[string]string{audienceEKS: token}, auth.IdentityOptions{PodIdentity: true}, credOptions)
}

// podNumber returns the nth of many pods of payment-sa.
func podNumber(n int) auth.Pod {
	pod := payment
	pod.Name, pod.UID = fmt.Sprintf("payment-%d", n), fmt.Sprintf("uid-%d", n)
	return pod
}

// attempts configures n attempts without a delay between them.
func attempts(n int) func(*auth.Config) {
	return func(c *auth.Config) {
		c.AWS.Retryer = func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = n
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		}
	}
}

func (b *testbed) wantAWS(want map[string]int) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.aws.Calls()); diff != "" {
		b.t.Errorf("AWS calls (-want +got):\n%s", diff)
	}
}

func TestA10_PodIdentityGetsCredentialsOfAssociatedRole(t *testing.T) {
	a := startPods(t)
	a.aws.PutSecret(region, "db", "v")
	session := a.ofPod(payment, auth.CredentialOptions{})
	client := secretsmanager.NewFromConfig(a.cfg, func(o *secretsmanager.Options) { o.Credentials, o.Region = session, region })
	out, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
	if err != nil || aws.ToString(out.SecretString) != "v" {
		t.Fatalf("secret %v and error %v, want v", out, err)
	}
	log := a.aws.CallLog()
	if principal := log[len(log)-1].Principal; !strings.HasPrefix(principal, "arn:aws:sts::123456789012:assumed-role/pod-role/eks-prod-payment-7d4b9-") {
		t.Errorf("principal %s, want the pod's session", principal)
	}
	a.wantAWS(map[string]int{"pod-identity:GetCredentials": 1, "secretsmanager:GetSecretValue": 1})
	a.wantKube(map[string]int{}) // the ServiceAccount is not read
}

// The credentials carry session tags of one pod, so each pod gets its own, once.
func TestA11_PodIdentityCredentialsAreNotSharedBetweenPods(t *testing.T) {
	const pods = 5
	a := startPods(t)
	keys := map[string]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for n := range pods {
		for range 4 { // concurrent volumes
			session := a.ofPod(podNumber(n), auth.CredentialOptions{})
			all.Go(func() {
				c, err := session.Retrieve(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				keys[c.AccessKeyID] = true
			})
		}
	}
	all.Wait()
	if len(keys) != pods {
		t.Errorf("%d pods have %d credentials", pods, len(keys))
	}
	a.wantAWS(map[string]int{"pod-identity:GetCredentials": pods})
}

func TestA13_PodIdentityTokenMustBelongToPod(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pod    func(auth.Pod) auth.Pod
		tokens func(*account) map[string]string
		want   string
	}{
		{"no token for EKS", nil, func(a *account) map[string]string {
			return map[string]string{audience: a.token(payment, awssim.Token{})}
		}, "cannot identify ServiceAccount payments/payment-sa to AWS: the CSI driver sent no token for audience pods.eks.amazonaws.com " +
			"(add pods.eks.amazonaws.com to tokenRequests of the CSIDriver object secrets-store.csi.k8s.io; the driver's Helm value is tokenRequests)"},
		{"another ServiceAccount's token", nil, func(a *account) map[string]string {
			other := payment
			other.ServiceAccount = "other"
			return map[string]string{audienceEKS: a.token(other, awssim.Token{})}
		}, `cannot identify ServiceAccount payments/payment-sa to AWS: its token belongs to "system:serviceaccount:payments:other", not to ` +
			"system:serviceaccount:payments:payment-sa (a pod can only use a token of its own ServiceAccount)"},
		{"another pod's token", nil, func(a *account) map[string]string {
			return map[string]string{audienceEKS: a.token(podNumber(7), awssim.Token{})}
		}, `cannot identify pod payments/payment-7d4b9 to AWS: its token belongs to another pod (a pod can only use its own token)`},
		{"no pod uid", func(p auth.Pod) auth.Pod { p.UID = ""; return p }, func(a *account) map[string]string {
			return map[string]string{audienceEKS: a.token(payment, awssim.Token{})}
		}, "cannot identify the pod: the CSI driver sent no pod uid, which EKS Pod Identity needs " +
			"(set podInfoOnMount: true in the CSIDriver object secrets-store.csi.k8s.io)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := startPods(t)
			pod := payment
			if tt.pod != nil {
				pod = tt.pod(pod)
			}
			id, _, err := a.Identify(t.Context(), pod, tokensFor(t, tt.tokens(a)), auth.IdentityOptions{PodIdentity: true})
			wantError(t, err, fault.Identity, tt.want)
			if id != (auth.Identity{}) {
				t.Errorf("identity %v beside an error", id)
			}
			a.wantAWS(map[string]int{})
		})
	}
	t.Run("expired", func(t *testing.T) {
		a := startPods(t)
		expired := map[string]string{audienceEKS: a.token(payment, awssim.Token{TTL: -time.Minute})}
		_, _, err := a.Identify(t.Context(), payment, tokensFor(t, expired), auth.IdentityOptions{PodIdentity: true})
		if fault.KindOf(err) != fault.Identity || !strings.Contains(fmt.Sprint(err), "its token expired at ") {
			t.Errorf("error %v, want one that says that the token expired", err)
		}
	})
}

func TestI1_RealCauseInTheMessage_PodIdentity(t *testing.T) {
	const (
		gets    = "ServiceAccount payments/payment-sa gets no credentials from EKS Pod Identity: "
		down    = gets + "the agent on the node does not respond: "
		install = " (install the EKS add-on eks-pod-identity-agent; on a new node the agent may start later, and the kubelet retries automatically)"
		wait    = " (let NetworkPolicies allow the provider to reach port 80 of the agent; on a new node the agent may need longer, and the kubelet retries automatically)"
		again   = " (the kubelet retries automatically)"
		refused = "AGENT: no connection: connect: connection refused"
		useless = gets + "the agent on the node returned no usable response: "
	)
	says := func(status int, body string) func(*account, *agentAddress) {
		return func(_ *account, addr *agentAddress) {
			addr.set(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
			})
		}
	}
	with := func(f awssim.Fault) func(*account, *agentAddress) {
		f.Service = "pod-identity"
		return func(a *account, _ *agentAddress) { a.aws.Inject(f) }
	}
	good := map[string]string{
		"AccessKeyId": "ASIA", "SecretAccessKey": "canary-secret", "Token": "canary-token", "AccountId": "123456789012",
		"Expiration": time.Now().Add(time.Hour).Format(time.RFC3339),
	}
	credentialsWith := func(change map[string]string) func(*account, *agentAddress) {
		fields := maps.Clone(good)
		maps.Copy(fields, change)
		maps.DeleteFunc(fields, func(_, v string) bool { return v == "" })
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return says(200, string(text))
	}
	lacks := useless + "it lacks AccessKeyId, SecretAccessKey, Token or Expiration" + again
	for _, tt := range []struct {
		name    string
		pod     auth.Pod
		prepare func(*account, *agentAddress)
		config  auth.Agent
		kind    fault.Kind
		want    string
	}{
		{name: "no agent", config: auth.Agent{IPv4: noAgent, IPv6: noAgent}, kind: fault.Transient, want: down + refused + "; " + refused + install},
		{name: "connection closed", prepare: func(_ *account, addr *agentAddress) { addr.set(nil) }, config: auth.Agent{IPv6: noAgent}, kind: fault.Transient,
			want: down + "AGENT: the connection was closed before a response; " + refused + install},
		{name: "hangs", prepare: func(_ *account, addr *agentAddress) { addr.set(hang) }, config: auth.Agent{IPv6: noAgent, Timeout: 200 * time.Millisecond}, kind: fault.Transient,
			want: down + "AGENT: no response in time; " + refused + wait},
		{name: "no association", pod: auth.Pod{Namespace: "payments", ServiceAccount: "other", Name: "o", UID: "o"}, kind: fault.Credentials,
			want: strings.ReplaceAll(gets, "payment-sa", "other") + "the agent on the node returned 404 Not Found: ResourceNotFoundException: No association found for the service account payments/other [id]" +
				" (aws eks create-pod-identity-association --cluster-name CLUSTER --namespace payments --service-account other --role-arn ROLE_ARN)"},
		{name: "the role does not trust EKS Pod Identity", pod: auth.Pod{Namespace: "payments", ServiceAccount: "untrusted", Name: "o", UID: "o"}, kind: fault.Credentials,
			prepare: func(a *account, _ *agentAddress) { a.associate("untrusted", "untrusted", "") },
			want: strings.ReplaceAll(gets, "payment-sa", "untrusted") + "the agent on the node returned 400 Bad Request: AccessDeniedException: Unauthorized Exception! EKS does not have permissions to assume the associated role [id]" +
				" (in the trust policy of the associated role, allow the service pods.eks.amazonaws.com sts:AssumeRole and sts:TagSession)"},
		{name: "expired by the agent's clock", prepare: says(400, "Service account token failed basic claim validations: token has invalid claims: token is expired\n"), kind: fault.Credentials,
			want: gets + "the agent on the node returned 400 Bad Request: Service account token failed basic claim validations: token has invalid claims: token is expired (compare the node's clock with the API server's clock)"},
		{name: "another cluster's agent", prepare: with(awssim.Fault{Status: 400, Code: "InvalidTokenException", Message: "The token is of another cluster"}), kind: fault.Credentials,
			want: gets + "the agent on the node returned 400 Bad Request: InvalidTokenException: The token is of another cluster [id] (the agent must belong to the cluster that the pod runs in)"},
		{name: "throttled", prepare: with(awssim.Fault{Status: 429, Message: "Rate exceeded"}), kind: fault.Transient,
			want: gets + "the agent on the node returned 429 Too Many Requests: ThrottlingException: Rate exceeded [id]" + again},
		{name: "EKS Auth returns 500", prepare: with(awssim.Fault{Status: 500, Code: "InternalServerException", Message: "Internal"}), kind: fault.Transient,
			want: gets + "the agent on the node returned 500 Internal Server Error: InternalServerException: Internal [id]" + again},
		{name: "the agent cannot reach EKS Auth", prepare: says(500, "unable to fetch credentials from EKS Auth:\n\tdial tcp: i/o timeout"), kind: fault.Transient,
			want: gets + "the agent on the node returned 500 Internal Server Error: unable to fetch credentials from EKS Auth: dial tcp: i/o timeout" + again},
		{name: "a redirect", prepare: func(a *account, addr *agentAddress) {
			addr.set(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, a.aws.PodIdentityURL()+"/v1/credentials", http.StatusFound)
			})
		}, kind: fault.Credentials, want: gets + "the agent on the node returned 302 Found: <a href=\"http://AGENT/v1/credentials\">Found</a>"},
		{name: "no content", prepare: says(204, ""), kind: fault.Credentials, want: gets + "the agent on the node returned 204 No Content"},
		{name: "an endless error", prepare: says(400, strings.Repeat("x", 1<<20)), kind: fault.Credentials,
			want: gets + "the agent on the node returned 400 Bad Request: " + strings.Repeat("x", 397) + "…"},
		{name: "not JSON", prepare: says(200, "canary-secret"), kind: fault.Transient, want: useless + "it is not the JSON of credentials" + again},
		{name: "a list", prepare: says(200, `["canary-secret"]`), kind: fault.Transient, want: useless + "it is not the JSON of credentials" + again},
		{name: "null", prepare: says(200, "null"), kind: fault.Transient, want: lacks},
		{name: "empty body", prepare: says(200, ""), kind: fault.Transient, want: useless + "it is not the JSON of credentials" + again},
		{name: "no key", prepare: credentialsWith(map[string]string{"AccessKeyId": ""}), kind: fault.Transient, want: lacks},
		{name: "no secret key", prepare: credentialsWith(map[string]string{"SecretAccessKey": ""}), kind: fault.Transient, want: lacks},
		{name: "no token", prepare: credentialsWith(map[string]string{"Token": ""}), kind: fault.Transient, want: lacks},
		{name: "no expiry", prepare: credentialsWith(map[string]string{"Expiration": ""}), kind: fault.Transient, want: lacks},
		{name: "expiry that is not a time", prepare: credentialsWith(map[string]string{"Expiration": "canary-secret"}), kind: fault.Transient, want: useless + "it is not the JSON of credentials" + again},
		{name: "expired", prepare: credentialsWith(map[string]string{"Expiration": "2020-01-01T00:00:00Z"}), kind: fault.Transient, want: useless + "its credentials have expired, by the clock of the node" + again},
		{name: "an endless response", prepare: func(_ *account, addr *agentAddress) {
			addr.set(func(w http.ResponseWriter, _ *http.Request) {
				for { // until the client disconnects
					if _, err := w.Write(bytes.Repeat([]byte("canary"), 1000)); err != nil {
						return
					}
				}
			})
		}, kind: fault.Transient, want: useless + "it is longer than 64 KiB" + again},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ipv4 := startAgentAddress(t, nil)
			a := startPods(t, func(c *auth.Config) {
				if tt.config.IPv4 == "" {
					tt.config.IPv4 = ipv4.URL
				}
				c.Agent = tt.config
			})
			target, err := url.Parse(a.aws.PodIdentityURL())
			if err != nil {
				t.Fatal(err)
			}
			ipv4.set(httputil.NewSingleHostReverseProxy(target).ServeHTTP)
			if tt.prepare != nil {
				tt.prepare(a, ipv4)
			}
			if tt.pod == (auth.Pod{}) {
				tt.pod = payment
			}
			token := a.token(tt.pod, awssim.Token{Audience: []string{audienceEKS}})
			c, err := a.session(tt.pod, map[string]string{audienceEKS: token}, auth.IdentityOptions{PodIdentity: true}, auth.CredentialOptions{}).Retrieve(t.Context())
			if c.HasKeys() || err == nil {
				t.Fatalf("keys %t and error %v, want an error alone", c.HasKeys(), err)
			}
			if got := fault.KindOf(err); got != tt.kind {
				t.Errorf("kind %v, want %v", got, tt.kind)
			}
			if diff := cmp.Diff(tt.want, ports.ReplaceAllString(agentIDs.ReplaceAllString(err.Error(), "[id]"), "AGENT")); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			hidden := append(strings.Split(token, "."), "canary")
			if i := slices.IndexFunc(hidden, func(part string) bool { return strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), part) }); i >= 0 {
				t.Errorf("the error contains hidden part %d", i)
			}
			if tt.name == "a redirect" {
				a.wantAWS(map[string]int{}) // the token must not follow a redirect
			}
		})
	}
}

// An agent that repeats the request does not put the token into a message.
func TestD18_TokenInAgentResponseIsRedacted(t *testing.T) {
	a, ipv4, _ := startTwoAddresses(t)
	ipv4.set(func(w http.ResponseWriter, r *http.Request) {
		token := r.Header.Get("Authorization")
		parts := strings.Split(token, ".")
		http.Error(w, "cannot take "+token+" with "+parts[1]+" signed "+parts[2], http.StatusBadRequest)
	})
	_, err := a.ofPod(payment, auth.CredentialOptions{}).Retrieve(t.Context())
	wantError(t, err, fault.Credentials, "ServiceAccount payments/payment-sa gets no credentials from EKS Pod Identity: the agent on the node returned 400 Bad Request: "+
		"cannot take [redacted] with [redacted] signed [redacted]")
}

// The rules are those of all credentials: renewed 5 minutes before their expiry, dropped by Forget.
func TestF6_PodIdentityCredentialsAreCachedAndRenewed(t *testing.T) {
	now := time.Now()
	a := startPods(t, func(c *auth.Config) { c.Now = func() time.Time { return now } })
	retrieve := func(calls int) {
		t.Helper()
		if _, err := a.ofPod(payment, auth.CredentialOptions{}).Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.wantAWS(map[string]int{"pod-identity:GetCredentials": calls})
	}
	token := a.token(payment, awssim.Token{Audience: []string{audienceEKS}, TTL: 24 * time.Hour})
	session := a.session(payment, map[string]string{audienceEKS: token}, auth.IdentityOptions{PodIdentity: true}, auth.CredentialOptions{})
	retrieve(1)
	retrieve(1)
	session.Forget()
	retrieve(2)
	now = now.Add(6*time.Hour - 7*time.Minute) // credentials of the agent last six hours
	if _, err := session.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.wantAWS(map[string]int{"pod-identity:GetCredentials": 2})
	now = now.Add(2 * time.Minute)
	if _, err := session.Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.wantAWS(map[string]int{"pod-identity:GetCredentials": 3})
}
