package auth_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/test/awssim"
)

// agentAddress is an HTTP server at one address of the agent. It counts requests.
type agentAddress struct {
	*httptest.Server

	mu       sync.Mutex
	requests int
	handler  http.HandlerFunc // nil: the server closes the connection
}

// startAgentAddress starts an address that forwards to the agent of sim. A nil sim means no handler.
func startAgentAddress(t testing.TB, sim *awssim.Sim) *agentAddress {
	t.Helper()
	addr := &agentAddress{}
	if sim != nil {
		target, err := url.Parse(sim.PodIdentityURL())
		if err != nil {
			t.Fatal(err)
		}
		addr.handler = httputil.NewSingleHostReverseProxy(target).ServeHTTP
	}
	addr.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr.mu.Lock()
		addr.requests++
		handler := addr.handler
		addr.mu.Unlock()
		if handler == nil {
			panic(http.ErrAbortHandler)
		}
		handler(w, r)
	}))
	t.Cleanup(addr.Close)
	return addr
}

func (addr *agentAddress) set(handler http.HandlerFunc) (was http.HandlerFunc) {
	addr.mu.Lock()
	defer addr.mu.Unlock()
	was, addr.handler = addr.handler, handler
	return was
}

func (addr *agentAddress) count() int {
	addr.mu.Lock()
	defer addr.mu.Unlock()
	return addr.requests
}

// hang does not respond until the client disconnects.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// startTwoAddresses starts an account like startPods, with an agent that has two addresses.
func startTwoAddresses(t testing.TB, change ...func(*auth.Config)) (a *account, ipv4, ipv6 *agentAddress) {
	t.Helper()
	ipv4, ipv6 = startAgentAddress(t, nil), startAgentAddress(t, nil)
	a = startPods(t, append([]func(*auth.Config){func(c *auth.Config) { c.Agent.IPv4, c.Agent.IPv6 = ipv4.URL, ipv6.URL }}, change...)...)
	for _, addr := range []*agentAddress{ipv4, ipv6} {
		target, err := url.Parse(a.aws.PodIdentityURL())
		if err != nil {
			t.Fatal(err)
		}
		addr.set(httputil.NewSingleHostReverseProxy(target).ServeHTTP)
	}
	return a, ipv4, ipv6
}

// IPv4 falls back to IPv6. The last address that responded is called first, for all pods.
func TestI10_IPv4ThenIPv6ThenLastAddress(t *testing.T) {
	for name, failing := range map[string]http.HandlerFunc{"connection closed": nil, "hangs": hang} {
		t.Run(name, func(t *testing.T) {
			a, ipv4, ipv6 := startTwoAddresses(t, func(c *auth.Config) { c.Agent.Timeout = 300 * time.Millisecond })
			healthy := ipv4.set(failing)
			pod := 0
			mount := func(want4, want6 int) {
				t.Helper()
				pod++
				if _, err := a.ofPod(podNumber(pod), auth.CredentialOptions{}).Retrieve(t.Context()); err != nil {
					t.Fatalf("pod %d: %v", pod, err)
				}
				if ipv4.count() != want4 || ipv6.count() != want6 {
					t.Errorf("pod %d: %d requests by IPv4 and %d by IPv6 so far, want %d and %d", pod, ipv4.count(), ipv6.count(), want4, want6)
				}
			}
			mount(1, 1) // the first pod of a node with only IPv6 tries IPv4 once
			mount(1, 2) // later pods do not
			mount(1, 3)
			ipv4.set(healthy)
			mount(1, 4) // IPv6 still responds
			ipv6.set(failing)
			mount(2, 5) // IPv6 no longer responds
			ipv6.set(healthy)
			mount(3, 5)
			a.wantAWS(map[string]int{"pod-identity:GetCredentials": pod})
		})
	}
}

// A refused connection falls back too.
func TestI10_RefusedIPv4FallsBack(t *testing.T) {
	a := startPods(t, func(c *auth.Config) { c.Agent.IPv4 = noAgent })
	if _, err := a.ofPod(payment, auth.CredentialOptions{}).Retrieve(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// After an error response the other address is not called: the agent is the same.
func TestI10_ErrorResponseIsFinal(t *testing.T) {
	a, ipv4, ipv6 := startTwoAddresses(t, attempts(3))
	a.aws.Inject(awssim.Fault{Service: "pod-identity", Status: 404, Code: "ResourceNotFoundException"})
	if _, err := a.ofPod(payment, auth.CredentialOptions{}).Retrieve(t.Context()); fault.KindOf(err) != fault.Credentials {
		t.Errorf("error %v of kind %v, want %v", err, fault.KindOf(err), fault.Credentials)
	}
	if ipv4.count() != 1 || ipv6.count() != 0 {
		t.Errorf("%d requests by IPv4 and %d by IPv6, want one", ipv4.count(), ipv6.count())
	}
}

// With preferredAddressType only one address is called, as in AWS's provider.
func TestK13_PreferredAddressType(t *testing.T) {
	for _, tt := range []struct {
		addressType  string
		four, six    int
		closed, name string
	}{
		{addressType: "ipv4", four: 1}, {addressType: "ipv6", six: 1},
		{addressType: "ipv4", four: 1, closed: "ipv4"}, {addressType: "ipv6", six: 1, closed: "ipv6"},
	} {
		t.Run(tt.addressType+" closed "+tt.closed, func(t *testing.T) {
			a, ipv4, ipv6 := startTwoAddresses(t)
			switch tt.closed {
			case "ipv4":
				ipv4.set(nil)
			case "ipv6":
				ipv6.set(nil)
			}
			_, err := a.ofPod(payment, auth.CredentialOptions{AddressType: tt.addressType}).Retrieve(t.Context())
			if (err != nil) != (tt.closed != "") {
				t.Errorf("error %v", err)
			}
			if ipv4.count() != tt.four || ipv6.count() != tt.six {
				t.Errorf("%d requests by IPv4 and %d by IPv6, want %d and %d", ipv4.count(), ipv6.count(), tt.four, tt.six)
			}
		})
	}
}

// Transient failures are retried within the mount request. Other failures are final.
func TestA14_PodIdentityRetries(t *testing.T) {
	fails := func(status int, code string) awssim.Fault {
		return awssim.Fault{Service: "pod-identity", Status: status, Code: code, Count: 2}
	}
	for _, tt := range []struct {
		name  string
		fault awssim.Fault
		calls int
		works bool
	}{
		{"503", fails(503, "ServiceUnavailableException"), 3, true},
		{"500", fails(500, "InternalServerException"), 3, true},
		{"429", fails(429, "ThrottlingException"), 3, true},
		{"throttled by a 400", fails(400, "ThrottlingException"), 3, true},
		{"connection closed", awssim.Fault{Service: "pod-identity", Cut: true, Count: 4}, 5, true}, // each attempt calls both addresses
		{"503 at every attempt", awssim.Fault{Service: "pod-identity", Status: 503}, 3, false},
		{"400", fails(400, "InvalidRequestException"), 1, false},
		{"403", fails(403, "AccessDeniedException"), 1, false},
		{"404", fails(404, "ResourceNotFoundException"), 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := startPods(t, attempts(3))
			a.aws.Inject(tt.fault)
			c, err := a.ofPod(payment, auth.CredentialOptions{}).Retrieve(t.Context())
			if (err == nil) != tt.works || c.HasKeys() != tt.works {
				t.Errorf("error %v, keys %t", err, c.HasKeys())
			}
			a.wantAWS(map[string]int{"pod-identity:GetCredentials": tt.calls})
		})
	}
}

var (
	agentIDs = regexp.MustCompile(`\[request id [0-9a-f-]{36}\]`)
	ports    = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
)
