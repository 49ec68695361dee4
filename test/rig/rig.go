// Package rig runs the whole server in one test: the provider's server on a real Unix socket, the
// strict AWS simulator, a Kubernetes API, an issuer of ServiceAccount tokens, and a client that
// plays the CSI driver. Only the kubelet and the driver's process are missing.
package rig

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/mountlog"
	"secrets-provider-aws/internal/podevents"
	"secrets-provider-aws/internal/tracing"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/server"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/csidriver"
	"secrets-provider-aws/test/kubesim"
)

// Names that the tests use.
const (
	Region         = "ap-south-1"
	Namespace      = "payments"
	ServiceAccount = "payment-sa"
	RoleName       = "payment-role"
	RoleARN        = "arn:aws:iam::123456789012:role/payment-role"
	Node           = "node-1"
	RoleAnnotation = "eks.amazonaws.com/role-arn"
	Version        = "1.2.3" // of the provider
	// ReadSecrets allows GetSecretValue and nothing else.
	ReadSecrets = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:GetSecretValue"],"Resource":"*"}]}`
	// ReadParameters allows GetParameters and nothing else.
	ReadParameters = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ssm:GetParameters"],"Resource":"*"}]}`
)

// Options change the rig from its defaults.
type Options struct {
	State         awssim.State  // initial content of AWS
	AWSDelay      time.Duration // of each AWS call; 0: 2 ms
	MountTimeout  time.Duration // of the server
	DrainTimeout  time.Duration // of the server
	MaxResponse   int           // of the server, bytes
	InFlight      int64         // of the server, bytes
	DefaultRegion string        // the provider's AWS_REGION
	AWS           awsclient.Options
	Policies      []awssim.Document // of payment-role; nil: ReadSecrets and ReadParameters
	TLS           bool              // AWS uses TLS; AWS_CA_BUNDLE holds its authority
	STSApart      bool              // STS has its own host and connections, as in AWS; for one rig in a test
	NoCABundle    bool              // AWS_CA_BUNDLE is not set
	Endpoint      string            // AWS_ENDPOINT_URL; empty: the simulator
	APIServer     string            // URL of the Kubernetes API; empty: the simulator
	Agent         auth.Agent        // of EKS Pod Identity; an empty address: the simulator's

	// Now is the provider's clock, such as Clock.Now. When it is nil, every mount has a new pod and ServiceAccount
	// uid, so that a test without a clock gets no value of an earlier mount.
	Now             func() time.Time
	RefreshInterval time.Duration   // of the provider
	MaxStale        time.Duration   // of the provider; 0: 1 h; NoStale: never
	RegionTimeout   time.Duration   // of the provider; 0: AWS.AttemptTimeout
	BatchSecrets    bool            // of the provider
	Events          bool            // the provider writes Events of pods
	CacheMaxBytes   int             // of the provider
	Tracer          *tracing.Tracer // of the server; nil: no traces
}

// NoStale as Options.MaxStale disables stale values.
const NoStale = -1

// LongTTL is the lifetime of the rig's tokens. It is long, because a test may advance the provider's clock.
const LongTTL = 100_000 * time.Hour

// Clock is a clock that only Advance moves. AWS and the tokens use the real time.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a Clock that starts at the current time.
func NewClock() *Clock { return &Clock{now: time.Now()} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Rig is one running server with everything that it calls.
type Rig struct {
	AWS    *awssim.Sim
	Kube   *kubesim.Sim
	Issuer *awssim.Issuer
	Client v1alpha1.CSIDriverProviderClient
	Dir    string // the provider volume

	t       testing.TB
	logs    *syncBuffer
	server  *server.Server
	metrics *prometheus.Registry
	running *Running

	uniqueIDs bool
	mounts    atomic.Int64
}

// New starts a rig that stops at the end of the test. ServiceAccount payments/payment-sa is annotated with
// payment-role, which trusts it and may read every secret and parameter.
func New(t testing.TB, o Options) *Rig {
	t.Helper()
	r := &Rig{t: t, uniqueIDs: o.Now == nil, logs: &syncBuffer{}}
	var err error
	r.Dir, err = os.MkdirTemp("", "rig") // t.TempDir includes the name of the test, and a socket's path has at most 107 bytes
	r.must(err)
	t.Cleanup(func() { _ = os.RemoveAll(r.Dir) })
	r.AWS, err = awssim.Start(awssim.Config{State: o.State, TLS: o.TLS, Delay: cmp.Or(o.AWSDelay, 2*time.Millisecond)})
	r.must(err)
	t.Cleanup(r.AWS.Close)
	r.Issuer, err = r.AWS.NewIssuer()
	r.must(err)
	if o.Policies == nil {
		o.Policies = []awssim.Document{ReadSecrets, ReadParameters}
	}
	r.must(r.AWS.AddRole(awssim.Role{Name: RoleName, TrustPolicy: r.Issuer.TrustPolicy(Namespace, ServiceAccount), Policies: o.Policies}))
	r.Kube = kubesim.Start(0)
	t.Cleanup(r.Kube.Close)
	r.Kube.SetServiceAccount(Namespace, ServiceAccount, map[string]string{RoleAnnotation: RoleARN})
	r.Kube.SetNode(Node, map[string]string{"topology.kubernetes.io/region": Region})

	ca := ""
	if o.TLS && !o.NoCABundle {
		ca = filepath.Join(t.TempDir(), "ca.pem")
		r.must(r.AWS.WriteCA(ca))
	}
	sts := ""
	if o.STSApart {
		sts = strings.Replace(r.AWS.URL(), "127.0.0.1", "localhost", 1)
	}
	isolateFromEnvironment(t, cmp.Or(o.Endpoint, r.AWS.URL()), sts, ca)
	log := slog.New(mountlog.Handler{Handler: slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})})
	o.AWS.Log, o.AWS.Metrics, o.AWS.Trace = log, awsclient.NewMetrics(), o.Tracer != nil
	cfg, err := awsclient.Load(context.Background(), o.AWS)
	r.must(err)
	cfg.Region = o.DefaultRegion
	kubernetes, err := metadata.NewForConfig(&rest.Config{Host: cmp.Or(o.APIServer, r.Kube.URL()), QPS: 1000, Burst: 1000})
	r.must(err)
	authenticator, err := auth.New(auth.Config{AWS: cfg, Kubernetes: kubernetes, Now: o.Now, Log: log, Agent: auth.Agent{
		IPv4: cmp.Or(o.Agent.IPv4, r.AWS.PodIdentityURL()), IPv6: cmp.Or(o.Agent.IPv6, r.AWS.PodIdentityURL()), Timeout: o.Agent.Timeout,
	}})
	r.must(err)
	fetcher, err := provider.New(provider.Config{
		AWS: cfg, Log: log, Now: o.Now, RefreshInterval: o.RefreshInterval, MaxStale: max(cmp.Or(o.MaxStale, time.Hour), 0), BatchSecrets: o.BatchSecrets, CacheMaxBytes: o.CacheMaxBytes,
		RegionTimeout: cmp.Or(o.RegionTimeout, o.AWS.AttemptTimeout),
	})
	r.must(err)
	r.metrics = prometheus.NewRegistry()
	r.metrics.MustRegister(fetcher, authenticator, o.AWS.Metrics)
	var events *podevents.Recorder
	if o.Events {
		events = r.events(log, o.Now)
	}
	r.server, err = server.New(server.Config{
		Auth: authenticator, Fetcher: fetcher, Log: log, Tracer: o.Tracer,
		Version: Version, Region: cfg.Region, MountTimeout: o.MountTimeout, DrainTimeout: o.DrainTimeout, MaxResponse: o.MaxResponse, InFlight: o.InFlight, Events: events, Now: o.Now,
	})
	r.must(err)
	r.metrics.MustRegister(r.server)
	r.running = r.Serve()
	r.Client = r.Dial()
	return r
}

// events starts a recorder of Events that ends with the test.
func (r *Rig) events(log *slog.Logger, now func() time.Time) *podevents.Recorder {
	recorder, err := podevents.New(podevents.Config{REST: &rest.Config{Host: r.Kube.URL()}, Instance: Node, Now: now, Log: log})
	r.must(err)
	r.metrics.MustRegister(recorder)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { recorder.Run(ctx) })
	r.t.Cleanup(func() { stop(); running.Wait() })
	return recorder
}

// isolateFromEnvironment points the SDK to the simulator and overrides the AWS settings of the machine.
func isolateFromEnvironment(t testing.TB, url, sts, ca string) {
	for key, value := range map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_CA_BUNDLE": ca, "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		"AWS_USE_FIPS_ENDPOINT": "", "AWS_USE_DUALSTACK_ENDPOINT": "", "HTTPS_PROXY": "", "HTTP_PROXY": "", "NO_PROXY": "127.0.0.1",
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "", "AWS_ENDPOINT_URL_STS": sts, "AWS_ENDPOINT_URL_SECRETS_MANAGER": "", "AWS_ENDPOINT_URL_SSM": "",
	} {
		t.Setenv(key, value)
	}
}

// Associate creates a role with the name of the ServiceAccount and associates it by EKS Pod Identity.
func (r *Rig) Associate(serviceAccount string, policies ...awssim.Document) {
	r.t.Helper()
	r.must(r.AWS.AddRole(awssim.Role{Name: serviceAccount, TrustPolicy: awssim.PodIdentityTrustPolicy, Policies: policies}))
	r.must(r.AWS.AddPodIdentityAssociation(awssim.PodIdentityAssociation{
		Namespace: Namespace, ServiceAccount: serviceAccount, RoleARN: "arn:aws:iam::123456789012:role/" + serviceAccount, ClusterName: "prod",
	}))
}

// Running is a server that serves.
type Running struct {
	stop   context.CancelFunc
	served chan error
	wait   func() error
}

// Serve starts one more server, which takes over the socket, as an upgrade with maxSurge does. New has called
// it once. The server stops at the end of the test at the latest.
func (r *Rig) Serve() *Running {
	r.t.Helper()
	socket, err := server.Listen(r.Dir)
	r.must(err)
	ctx, stop := context.WithCancel(context.Background())
	p := &Running{stop: stop, served: make(chan error, 1)}
	p.wait = sync.OnceValue(func() error { return <-p.served })
	go func() { p.served <- r.server.Serve(ctx, socket) }()
	r.t.Cleanup(func() {
		p.Terminate()
		if err := p.Wait(); err != nil {
			r.t.Errorf("serve: %v", err)
		}
	})
	return p
}

// Running is the server that New started.
func (r *Rig) Running() *Running { return r.running }

// Terminate tells the server to stop, as SIGTERM does, and does not wait for it.
func (p *Running) Terminate() { p.stop() }

// Wait waits until the server has stopped and returns its error.
func (p *Running) Wait() error { return p.wait() }

// Socket is the path of the provider's socket.
func (r *Rig) Socket() string { return filepath.Join(r.Dir, server.SocketName) }

// Dial returns a new client with its own connection.
func (r *Rig) Dial() v1alpha1.CSIDriverProviderClient {
	r.t.Helper()
	conn, err := csidriver.Dial(r.Socket())
	r.must(err)
	r.t.Cleanup(func() { _ = conn.Close() })
	return v1alpha1.NewCSIDriverProviderClient(conn)
}

// Mount is a mount request in the terms of a user. Its zero value is a pod of payment-sa without
// parameters.
type Mount struct {
	Namespace, ServiceAccount string // payments, payment-sa
	Pod                       string // payment-7d4b9
	Class                     string // payment-secrets
	Objects                   string // parameter `objects`
	Parameters                map[string]string
	Permission                string            // "420"
	Tokens                    map[string]string // audience → token; nil: a valid one for STS, and one for EKS with usePodIdentity
	TokensInSecrets           bool              // as Kubernetes 1.35 can send them
}

// Request returns the request that the driver sends for m.
func (r *Rig) Request(m Mount) *v1alpha1.MountRequest {
	r.t.Helper()
	v := csidriver.Volume{
		Namespace:       cmp.Or(m.Namespace, Namespace),
		ServiceAccount:  cmp.Or(m.ServiceAccount, ServiceAccount),
		Pod:             cmp.Or(m.Pod, "payment-7d4b9"),
		Class:           cmp.Or(m.Class, "payment-secrets"),
		Parameters:      maps.Clone(m.Parameters),
		Tokens:          m.Tokens,
		TokensInSecrets: m.TokensInSecrets,
		Permission:      m.Permission,
	}
	account := "uid-of-" + v.ServiceAccount
	v.PodUID = "uid-of-" + v.Pod
	if r.uniqueIDs {
		n := r.mounts.Add(1)
		v.PodUID, account = fmt.Sprintf("%s-%d", v.PodUID, n), fmt.Sprintf("uid-of-%s-%d", v.ServiceAccount, n)
	}
	if m.Objects != "" {
		if v.Parameters == nil {
			v.Parameters = map[string]string{}
		}
		v.Parameters["objects"] = m.Objects
	}
	if v.Tokens == nil {
		token := awssim.Token{
			Namespace: v.Namespace, ServiceAccount: v.ServiceAccount, ServiceAccountUID: account, Pod: v.Pod, PodUID: v.PodUID, Node: Node, TTL: LongTTL,
		}
		v.Tokens = map[string]string{"sts.amazonaws.com": r.Token(token)}
		if v.Parameters["usePodIdentity"] != "" {
			token.Audience = []string{"pods.eks.amazonaws.com"}
			v.Tokens["pods.eks.amazonaws.com"] = r.Token(token)
		}
	}
	req, err := v.Request()
	r.must(err)
	return req
}

// Mount sends the request.
func (r *Rig) Mount(m Mount) (*v1alpha1.MountResponse, error) {
	r.t.Helper()
	return r.Client.Mount(r.t.Context(), r.Request(m))
}

// Files mounts m and returns the files: path to content. An error fails the test.
func (r *Rig) Files(m Mount) map[string]string {
	r.t.Helper()
	resp, err := r.Mount(m)
	r.must(err)
	files := make(map[string]string, len(resp.GetFiles()))
	for _, f := range resp.GetFiles() {
		files[f.GetPath()] = string(f.GetContents())
	}
	return files
}

// Token signs a ServiceAccount token with the rig's issuer.
func (r *Rig) Token(t awssim.Token) string {
	r.t.Helper()
	token, err := r.Issuer.Token(t)
	r.must(err)
	return token
}

// Metric returns the value of a metric without labels.
func (r *Rig) Metric(name string) float64 { return r.Sample(name) }

// Values returns how many values a source has served, from the fetcher's metric.
func (r *Rig) Values(source string) float64 {
	return r.Sample("secrets_provider_aws_values_total", "source", source)
}

// Sample returns the sum of a metric's series that have these labels: name, value, name, value and so on. Of a
// histogram it is the number of observations. At least one series must have the labels.
func (r *Rig) Sample(name string, labels ...string) float64 {
	r.t.Helper()
	sum, found := 0.0, false
	for _, f := range r.gather() {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && hasLabels(m, labels) {
				found = true
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	if !found {
		r.t.Fatalf("rig: no metric %s with %q", name, labels)
	}
	return sum
}

// Series returns how many time series the provider exposes, without those of Go and the process: a histogram has one
// for each bucket, its sum and its count.
func (r *Rig) Series() int {
	r.t.Helper()
	series := 0
	for _, f := range r.gather() {
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h != nil {
				series += len(h.GetBucket()) + 3 // +Inf too
			} else {
				series++
			}
		}
	}
	return series
}

func (r *Rig) gather() []*dto.MetricFamily {
	r.t.Helper()
	families, err := r.metrics.Gather()
	r.must(err)
	return families
}

func hasLabels(m *dto.Metric, labels []string) bool {
	for i := 0; i < len(labels); i += 2 {
		if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == labels[i] && l.GetValue() == labels[i+1] }) {
			return false
		}
	}
	return true
}

// Logs returns everything that the provider has logged.
func (r *Rig) Logs() string { return r.logs.String() }

func (r *Rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(fmt.Errorf("rig: %w", err))
	}
}

// syncBuffer is a bytes.Buffer for concurrent use.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
