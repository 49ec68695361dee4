// Package awssim simulates AWS for tests and is as strict as the real AWS.
//
//   - STS verifies projected Kubernetes tokens with their issuer's published keys
//     and evaluates trust policies.
//   - Secrets Manager and SSM Parameter Store require a valid Signature Version 4
//     with valid credentials and policies that allow the action.
//   - The EKS Pod Identity agent issues sessions with their tags.
//   - Tests can inject failures (see Fault) and throttling (see Quota).
//
// One listener serves all services. Clients use AWS_ENDPOINT_URL (Sim.URL), or
// reach the regular AWS host names through the HTTPS proxy (Sim.ProxyURL).
// Command cmd/awssim runs the package as a program.
package awssim

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Config configures a simulator. Its zero value is an empty account on a free
// port of the loopback interface, without TLS.
type Config struct {
	// State is the initial content.
	State State
	// TLS serves HTTPS (HTTP/1.1 and HTTP/2) with certificates of the
	// simulator's own CA.
	TLS bool
	// HTTP1 disables HTTP/2, as STS, Secrets Manager and Systems Manager do.
	HTTP1 bool
	// Listen is the address of the AWS listener. Default: "127.0.0.1:0".
	Listen string
	// PodIdentityListen is the address of the Pod Identity agent's plain HTTP
	// listener. Default: "127.0.0.1:0". "-" = no agent.
	PodIdentityListen string
	// IssuerCAFile holds PEM certificates to trust for the keys of the issuers
	// that a caller of IAM registers. Default: the system's.
	IssuerCAFile string
	// Clock is the simulator's time for tokens, signatures, sessions and the Date of responses.
	// Default: time.Now. Certificates always use the real time.
	Clock func() time.Time
	// Delay is added to each AWS call, including the Pod Identity agent's, but
	// not to the discovery documents of issuers. A test that counts connections
	// exactly needs some milliseconds. smithy-go closes the request's body as
	// soon as the response arrives. If net/http has not read the body's end by
	// then, it drops the connection. AWS is never that fast.
	Delay time.Duration
	// ScanLimit is the number of objects that a page of GetParametersByPath,
	// ListSecrets or BatchGetSecretValue examines at most; 0 = no limit. AWS has
	// such a limit, so a page can have fewer objects than MaxResults, or none,
	// and still a NextToken.
	ScanLimit int
}

// Sim is a running simulator. All methods may be called concurrently.
type Sim struct {
	account string
	tls     bool
	http1   bool
	delay   time.Duration
	now     func() time.Time
	// stsDisabled are the regions without STS.
	stsDisabled []string
	issuerCA    string

	log    callLog
	faults faultTable
	quotas quotaTable

	iam         *directory
	credentials *credentialTable
	tokens      *tokenVerifier
	issuers     issuerTable
	secrets     *secretStore
	parameters  *parameterStore

	ca             *authority
	proxied        proxiedHosts
	listener       *awsListener
	url            string
	podIdentityURL string

	stopping context.Context // Close cancels it, which ends hanging calls
	stop     context.CancelFunc
	servers  []*http.Server
	serving  sync.WaitGroup
}

// Start starts a simulator. It refuses an invalid state: a policy with an unknown
// element or condition key, a duplicate role, an invalid ARN.
func Start(cfg Config) (*Sim, error) {
	s, err := build(cfg)
	if err != nil {
		return nil, fmt.Errorf("awssim: %w", err)
	}
	if err := s.listen(cfg); err != nil {
		s.Close()
		return nil, fmt.Errorf("awssim: %w", err)
	}
	return s, nil
}

// build creates a simulator without its listeners.
func build(cfg Config) (*Sim, error) {
	s := &Sim{account: cfg.State.Account, tls: cfg.TLS, http1: cfg.HTTP1, delay: cfg.Delay, now: cfg.Clock, stsDisabled: cfg.State.STSDisabledRegions, issuerCA: cfg.IssuerCAFile}
	if s.account == "" {
		s.account = DefaultAccount
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.credentials = newCredentialTable()
	var err error
	if s.iam, err = newDirectory(s.account, cfg.State); err != nil {
		return nil, err
	}
	for _, u := range cfg.State.Users {
		if err := s.addUser(u); err != nil {
			return nil, err
		}
	}
	if s.secrets, err = newSecretStore(s.account, cfg.State.Secrets, s.now); err != nil {
		return nil, err
	}
	if s.parameters, err = newParameterStore(s.account, cfg.State.Parameters, s.now); err != nil {
		return nil, err
	}
	s.secrets.scanLimit, s.parameters.scanLimit = cfg.ScanLimit, cfg.ScanLimit
	if s.ca, err = newAuthority(); err != nil {
		return nil, err
	}
	s.tokens = newTokenVerifier(s.ownTransport)
	return s, nil
}

// listen opens the listeners and serves them.
func (s *Sim) listen(cfg Config) error {
	address := cfg.Listen
	if address == "" {
		address = "127.0.0.1:0"
	}
	raw, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for AWS calls: %w", err)
	}
	scheme := "http"
	if s.tls {
		scheme = "https"
	}
	s.url = scheme + "://" + reachable(raw.Addr())
	var config *tls.Config
	if s.tls {
		config = s.serverTLS(s.ca.forConnection)
	}
	s.listener = newAWSListener(raw, config)
	s.serve(s.listener, http.HandlerFunc(s.route))

	if cfg.PodIdentityListen == "-" {
		return nil
	}
	address = cfg.PodIdentityListen
	if address == "" {
		address = "127.0.0.1:0"
	}
	agent, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for the Pod Identity agent: %w", err)
	}
	s.podIdentityURL = "http://" + reachable(agent.Addr())
	s.serve(agent, http.HandlerFunc(s.servePodIdentity))
	return nil
}

func (s *Sim) serve(l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(errorFilter{}, "awssim: ", 0),
	}
	// The listener does the handshakes. This prepares the server for
	// connections that negotiated HTTP/2.
	server.TLSConfig = s.serverTLS(s.ca.forConnection)
	s.servers = append(s.servers, server)
	s.serving.Go(func() { _ = server.Serve(l) }) // always ErrServerClosed: only Close stops it
}

// errorFilter passes on net/http's error log, such as panics. It drops handshake
// errors of clients that do not trust the CA, because tests cause them on purpose.
type errorFilter struct{}

func (errorFilter) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "TLS handshake error") {
		return len(line), nil
	}
	return os.Stderr.Write(line)
}

// Close stops the simulator and closes every connection.
func (s *Sim) Close() {
	s.stop()
	for _, server := range s.servers {
		_ = server.Close()
	}
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener.cutAll()
	}
	s.serving.Wait()
}

// URL is the value for AWS_ENDPOINT_URL.
func (s *Sim) URL() string { return s.url }

// ProxyURL is the value for HTTPS_PROXY, with which a client reaches the simulator
// under the regular AWS host names. It is plain HTTP with and without Config.TLS.
// The tunnelled connections are TLS with certificates of the CA from WriteCA.
func (s *Sim) ProxyURL() string {
	_, hostPort, _ := strings.Cut(s.url, "://")
	return "http://" + hostPort
}

// ProxiedHosts lists the host names that clients reached through the proxy:
// sorted, unique, without port.
func (s *Sim) ProxiedHosts() []string { return s.proxied.list() }

// CAPEM is the PEM of the CA for the listener's certificate, nil without
// Config.TLS. The proxy's certificates always need the CA: see WriteCA.
func (s *Sim) CAPEM() []byte {
	if !s.tls {
		return nil
	}
	return s.ca.pem()
}

// WriteCA writes the PEM of the CA to a file, for AWS_CA_BUNDLE. It also works
// without Config.TLS, for clients of the proxy.
func (s *Sim) WriteCA(path string) error {
	if err := os.WriteFile(path, s.ca.pem(), 0o644); err != nil {
		return fmt.Errorf("write the CA: %w", err)
	}
	return nil
}

// PodIdentityURL is the base URL of the Pod Identity agent, without path; ""
// without an agent.
func (s *Sim) PodIdentityURL() string { return s.podIdentityURL }

// Calls counts the requests that reached an operation, including failed ones, by
// "<service>:<Operation>", for example "sts:AssumeRoleWithWebIdentity".
func (s *Sim) Calls() map[string]int { return s.log.countsCopy() }

// CallLog lists the calls in the order of their arrival.
func (s *Sim) CallLog() []Call { return s.log.snapshot() }

// ResetCalls clears the call log.
func (s *Sim) ResetCalls() { s.log.reset() }

// Connections counts the AWS listener's TCP connections: open ones, and all since
// the start.
func (s *Sim) Connections() (open, total int) { return s.listener.counts() }

// Inject adds a fault. remove removes it; a second call does nothing.
func (s *Sim) Inject(f Fault) (remove func()) {
	id := s.faults.add(f)
	return func() { s.faults.remove(id) }
}

// SetQuota adds or replaces the quota of an operation. Its buckets start full.
func (s *Sim) SetQuota(q Quota) error { return s.quotas.set(q) }

// AddRole adds a role. It returns an error if the role exists.
func (s *Sim) AddRole(r Role) error { return s.iam.putRole(r, false) }

// SetRole adds or replaces a role with its policies. The new policies apply to
// the next call of the role's sessions.
func (s *Sim) SetRole(r Role) error { return s.iam.putRole(r, true) }

// RemoveRole removes a role by name (in the state's account) or ARN. Its sessions
// become invalid.
func (s *Sim) RemoveRole(nameOrARN string) error { return s.iam.removeRole(nameOrARN) }

// RemoveOIDCProvider deletes the account's OIDC provider for an issuer, if there is one.
func (s *Sim) RemoveOIDCProvider(issuer string) { s.iam.removeProvider("aws", s.account, issuer) }

// AddOIDCProvider adds an identity provider, or replaces the one of the same
// issuer and account.
func (s *Sim) AddOIDCProvider(p OIDCProvider) error { return s.iam.putProvider(p) }

// AddPodIdentityAssociation adds or replaces the association of a ServiceAccount.
func (s *Sim) AddPodIdentityAssociation(a PodIdentityAssociation) error {
	return s.iam.putAssociation(a)
}

// PutSecret sets the current value of a secret and returns the version's id. It
// creates the secret if needed.
func (s *Sim) PutSecret(region, name, value string) (versionID string) {
	return s.secrets.put(region, name, value)
}

// PutParameter sets the value of a parameter and returns its version. It creates
// the parameter if needed.
func (s *Sim) PutParameter(region, name, value string) (version int64) {
	return s.parameters.put(region, name, value)
}

// TagSecret replaces the tags of a secret: key → value.
func (s *Sim) TagSecret(region, name string, tags map[string]string) error {
	if err := s.secrets.tag(region, name, tags); err != nil {
		return fmt.Errorf("tag secret %q in region %q: %w", name, region, err)
	}
	return nil
}

// RemoveSecret deletes a secret at once, without a recovery window.
func (s *Sim) RemoveSecret(region, name string) error {
	if !s.secrets.remove(region, name) {
		return fmt.Errorf("remove secret %q in region %q: there is no such secret", name, region)
	}
	return nil
}

// RemoveParameter deletes a parameter with all versions.
func (s *Sim) RemoveParameter(region, name string) error {
	if !s.parameters.remove(region, name) {
		return fmt.Errorf("remove parameter %q in region %q: there is no such parameter", name, region)
	}
	return nil
}

// addUser registers a user's static access key.
func (s *Sim) addUser(u User) error {
	if u.Name == "" || u.AccessKeyID == "" || u.SecretAccessKey == "" {
		return fmt.Errorf("user %q: name, accessKeyID and secretAccessKey are required", u.Name)
	}
	policies, err := parsePermissions(u.Policies)
	if err != nil {
		return fmt.Errorf("user %s: %w", u.Name, err)
	}
	added := s.credentials.addStatic(u.AccessKeyID, u.SecretAccessKey, principal{
		arn:      "arn:aws:iam::" + s.account + ":user/" + u.Name,
		userID:   uniqueID("AIDA", s.account+u.Name),
		account:  s.account,
		policies: policies,
		tags:     u.Tags,
	})
	if !added {
		return fmt.Errorf("user %s: the access key is another user's", u.Name)
	}
	return nil
}

// reachable returns the host:port to reach a listener from this machine. For a
// listener on all interfaces it uses the loopback address.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// pause waits for d. It returns false if the client left or Close was called.
func (s *Sim) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.stopping.Done():
	}
	return false
}
