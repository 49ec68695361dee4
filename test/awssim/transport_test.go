package awssim_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/awssim"
)

func withTLS(c *awssim.Config) { c.TLS = true }

// trusting returns a TLS configuration that trusts only the simulator's CA.
func (b *bed) trusting(t *testing.T) *tls.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := b.WriteCA(path); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("the CA is not PEM")
	}
	return &tls.Config{RootCAs: roots}
}

// TestHTTP1 offers HTTP/2 to a listener with HTTP/2 disabled.
func TestHTTP1(t *testing.T) {
	b := start(t, withTLS, func(c *awssim.Config) { c.HTTP1 = true })
	transport := &http.Transport{TLSClientConfig: b.trusting(t), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(mustRequest(t, http.MethodGet, b.issuer.URL()+"/openid/v1/jwks"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.Proto != "HTTP/1.1" {
		t.Errorf("the protocol is %s", resp.Proto)
	}
}

// TestTLS runs a whole session over TLS with both HTTP versions. Token
// verification by the simulator's own issuer is included.
func TestTLS(t *testing.T) {
	for name, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(name, func(t *testing.T) {
			b := start(t, withTLS, func(c *awssim.Config) { c.Delay = 5 * time.Millisecond }) // see Config.Delay
			if len(b.CAPEM()) == 0 {
				t.Fatal("there is no CA")
			}
			transport := &http.Transport{TLSClientConfig: b.trusting(t), ForceAttemptHTTP2: h2}
			defer transport.CloseIdleConnections()
			cfg := b.config(nil, transport)
			out, err := sts.NewFromConfig(cfg).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
				RoleArn: aws.String(paymentRole), RoleSessionName: aws.String("payment-api"),
				WebIdentityToken: aws.String(b.token(t, paymentToken())),
			})
			if err != nil {
				t.Fatal(err)
			}
			cfg.Credentials = static(out.Credentials)
			for range 3 {
				if err := getDB(t, secretsmanager.NewFromConfig(cfg)); err != nil {
					t.Fatal(err)
				}
			}
			if open, total := b.Connections(); open != 1 || total != 1 {
				t.Errorf("%d connections, %d open; want one for all four calls", total, open)
			}
			resp, err := transport.RoundTrip(mustRequest(t, http.MethodGet, b.issuer.URL()+"/openid/v1/jwks"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.Proto != name {
				t.Errorf("the protocol is %s", resp.Proto)
			}
		})
	}
}

func TestTLSRequiresTrustAndTLS(t *testing.T) {
	b := start(t, withTLS)
	err := getDB(t, secretsmanager.NewFromConfig(b.config(aws.AnonymousCredentials{}, nil)))
	if err == nil {
		t.Error("a client that does not trust the CA gets through")
	}
	plain := mustRequest(t, http.MethodGet, "http://"+mustURL(t, b.URL()).Host+"/")
	if status := statusOf(t, plain); status != http.StatusBadRequest {
		t.Errorf("plain HTTP gets status %d, want 400", status)
	}
}

func TestNoCAWithoutTLS(t *testing.T) {
	if ca := start(t).CAPEM(); ca != nil {
		t.Errorf("CAPEM is %s", ca)
	}
}

// TestProxy calls the regular AWS host names, with both kinds of listener.
func TestProxy(t *testing.T) {
	for name, change := range map[string]func(*awssim.Config){"plain listener": func(*awssim.Config) {}, "TLS listener": withTLS} {
		t.Run(name, func(t *testing.T) {
			b := start(t, change)
			transport := &http.Transport{Proxy: http.ProxyURL(mustURL(t, b.ProxyURL())), TLSClientConfig: b.trusting(t)}
			defer transport.CloseIdleConnections()
			cfg := b.config(nil, transport)
			cfg.BaseEndpoint = nil // the SDK's own endpoints
			out, err := sts.NewFromConfig(cfg, func(o *sts.Options) { o.Region = region }).AssumeRoleWithWebIdentity(t.Context(),
				&sts.AssumeRoleWithWebIdentityInput{
					RoleArn: aws.String(paymentRole), RoleSessionName: aws.String("payment-api"),
					WebIdentityToken: aws.String(b.token(t, paymentToken())),
				})
			if err != nil {
				t.Fatal(err)
			}
			cfg.Credentials = static(out.Credentials)
			if err := getDB(t, secretsmanager.NewFromConfig(cfg)); err != nil {
				t.Fatal(err)
			}
			fips := secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
				o.Region = "us-east-1"
				o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
			})
			b.PutSecret("us-east-1", "db", dbValue)
			if err := getDB(t, fips); err != nil {
				t.Fatal(err)
			}
			want := []string{"secretsmanager-fips.us-east-1.amazonaws.com", "secretsmanager." + region + ".amazonaws.com", "sts." + region + ".amazonaws.com"}
			if diff := cmp.Diff(want, b.ProxiedHosts()); diff != "" {
				t.Error(diff)
			}
			if got := b.CallLog()[0].Region; got != region {
				t.Errorf("the unsigned STS call has region %q, want its host's", got)
			}
		})
	}
}

func TestProxyRefusesOtherHosts(t *testing.T) {
	b := start(t)
	for _, host := range []string{"example.com:443", "amazonaws.com.example.com:443", "sts.ap-south-1.amazonaws.com:80", "127.0.0.1:443"} {
		t.Run(host, func(t *testing.T) {
			r := mustRequest(t, http.MethodConnect, b.URL())
			r.Host = host
			if status := statusOf(t, r); status != http.StatusForbidden {
				t.Errorf("status %d, want 403", status)
			}
		})
	}
	if hosts := b.ProxiedHosts(); len(hosts) > 0 {
		t.Errorf("refused hosts are listed as reached: %v", hosts)
	}
}

func TestConnectionsClose(t *testing.T) {
	b := start(t)
	transport := &http.Transport{}
	var conn net.Conn
	trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { conn = i.Conn }})
	r, err := http.NewRequestWithContext(trace, http.MethodGet, b.issuer.URL()+"/openid/v1/jwks", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if open, total := b.Connections(); open != 1 || total != 1 {
		t.Errorf("%d of %d open, want 1 of 1", open, total)
	}
	conn.Close()
	waitFor(t, "the connection to be gone", func() bool { open, _ := b.Connections(); return open == 0 })
	if _, total := b.Connections(); total != 1 {
		t.Errorf("%d in all, want 1", total)
	}
}

// TestIdleConnectionsDoNotBlockClose: a TLS listener waits for the first byte.
func TestIdleConnectionsDoNotBlockClose(t *testing.T) {
	b := start(t, withTLS)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", mustURL(t, b.URL()).Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	waitFor(t, "the connection to be accepted", func() bool { open, _ := b.Connections(); return open == 1 })
	b.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection survives Close")
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	limit := time.After(10 * time.Second)
	for !done() {
		select {
		case <-poll.C:
		case <-limit:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
