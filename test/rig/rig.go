// Package rig is the whole house in one test: the provider's server on a real Unix socket, the
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
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/provider/awsapi"
	"secrets-provider-aws/server"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/csidriver"
	"secrets-provider-aws/test/kubesim"
)

// The world of the tests: the one of our users' article.
const (
	Region         = "ap-south-1"
	Namespace      = "payments"
	ServiceAccount = "payment-sa"
	RoleName       = "payment-role"
	RoleARN        = "arn:aws:iam::123456789012:role/payment-role"
	Node           = "node-1"
	RoleAnnotation = "eks.amazonaws.com/role-arn"
	// ReadSecrets is the policy of the article: it allows GetSecretValue and nothing else.
	ReadSecrets = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:GetSecretValue"],"Resource":"*"}]}`
	// ReadParameters allows GetParameters and nothing else.
	ReadParameters = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ssm:GetParameters"],"Resource":"*"}]}`
)

// Options change the rig from its defaults.
type Options struct {
	State         awssim.State  // what AWS holds at the start
	AWSDelay      time.Duration // of each AWS call
	MountTimeout  time.Duration // of the server
	MaxResponse   int           // of the server, bytes
	DefaultRegion string        // the provider's AWS_REGION
	AWS           awsapi.Options
	Now           func() time.Time  // of the provider; time.Now where nil
	Policies      []awssim.Document // of payment-role; ReadSecrets and ReadParameters where nil
}

// Rig is one running house.
type Rig struct {
	AWS    *awssim.Sim
	Kube   *kubesim.Sim
	Issuer *awssim.Issuer
	Client v1alpha1.CSIDriverProviderClient
	Dir    string // the provider volume

	t    testing.TB
	logs *syncBuffer
}

// New builds a rig that ends with the test. ServiceAccount payments/payment-sa is annotated with
// payment-role, which trusts it and may read every secret and parameter.
func New(t testing.TB, o Options) *Rig {
	t.Helper()
	r := &Rig{t: t, Dir: t.TempDir(), logs: &syncBuffer{}}
	var err error
	r.AWS, err = awssim.Start(awssim.Config{State: o.State, Delay: o.AWSDelay})
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

	isolateFromEnvironment(t, r.AWS.URL())
	cfg, err := awsapi.Load(context.Background(), o.AWS)
	r.must(err)
	cfg.Region = o.DefaultRegion
	kubernetes, err := metadata.NewForConfig(&rest.Config{Host: r.Kube.URL(), QPS: 1000, Burst: 1000})
	r.must(err)
	authenticator, err := auth.New(auth.Config{AWS: cfg, Kubernetes: kubernetes, Now: o.Now})
	r.must(err)
	log := slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	fetcher, err := provider.New(provider.Config{AWS: cfg, Log: log, MaxStale: time.Hour, Now: o.Now})
	r.must(err)
	s, err := server.New(server.Config{
		Auth: authenticator, Fetcher: fetcher, Log: log,
		Version: "1.2.3", Region: cfg.Region, MountTimeout: o.MountTimeout, MaxResponse: o.MaxResponse,
	})
	r.must(err)
	r.serve(s)
	return r
}

// isolateFromEnvironment points the SDK at the simulator and away from whatever the machine has set. STS is a
// host of its own, as it really is, so that it shares no connections with the other services.
func isolateFromEnvironment(t testing.TB, url string) {
	for key, value := range map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_ENDPOINT_URL_STS": strings.Replace(url, "127.0.0.1", "localhost", 1), "AWS_CA_BUNDLE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		"AWS_USE_FIPS_ENDPOINT": "", "AWS_USE_DUALSTACK_ENDPOINT": "", "HTTPS_PROXY": "", "HTTP_PROXY": "", "NO_PROXY": "127.0.0.1",
	} {
		t.Setenv(key, value)
	}
}

func (r *Rig) serve(s *server.Server) {
	socket, err := server.Listen(r.Dir)
	r.must(err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, socket) }()
	r.t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			r.t.Errorf("serve: %v", err)
		}
	})
	conn, err := csidriver.Dial(socket.Path())
	r.must(err)
	r.t.Cleanup(func() { _ = conn.Close() })
	r.Client = v1alpha1.NewCSIDriverProviderClient(conn)
}

// Mount is a mount request in terms of what a user writes. Its zero value is a pod of payment-sa
// with no parameters at all.
type Mount struct {
	Namespace, ServiceAccount string // payments, payment-sa
	Pod                       string // payment-7d4b9
	Class                     string // payment-secrets
	Objects                   string // parameter `objects`
	Parameters                map[string]string
	Permission                string            // "420"
	Tokens                    map[string]string // audience → token; a good one for STS where nil
	TokensInSecrets           bool              // as Kubernetes 1.35 can hand them over
}

// Request makes the request that the driver would send.
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
	v.PodUID = "uid-of-" + v.Pod
	if m.Objects != "" {
		if v.Parameters == nil {
			v.Parameters = map[string]string{}
		}
		v.Parameters["objects"] = m.Objects
	}
	if v.Tokens == nil {
		v.Tokens = map[string]string{"sts.amazonaws.com": r.Token(awssim.Token{
			Namespace: v.Namespace, ServiceAccount: v.ServiceAccount, Pod: v.Pod, PodUID: v.PodUID, Node: Node,
		})}
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

// Files mounts, fails the test on an error, and gives the files: path to content.
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

// Logs is everything that the provider has logged.
func (r *Rig) Logs() string { return r.logs.String() }

func (r *Rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(fmt.Errorf("rig: %w", err))
	}
}

// syncBuffer is a bytes.Buffer that many may write to.
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
