package awssim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

const (
	discoverySuffix = "/.well-known/openid-configuration"
	// keyLifetime is how long fetched keys are cached. An unknown key id
	// triggers a new fetch at once.
	keyLifetime  = time.Minute
	fetchTimeout = 5 * time.Second
	maxDocument  = 1 << 20 // bytes
)

// oidcProvider is a validated OIDCProvider with the keys of its issuer.
type oidcProvider struct {
	name      string // the issuer without its scheme
	arn       string
	clientIDs []string
	issuer    string
	discovery string // URL of the discovery document
	jwks      string // "" = from the discovery document
	tokenFile string
	client    *http.Client

	mu      sync.Mutex // one fetch at a time
	keys    jose.JSONWebKeySet
	fetched time.Time
}

// newOIDCProvider refuses a provider that can never verify a token.
func newOIDCProvider(p OIDCProvider) (*oidcProvider, error) {
	name, err := schemeless(p.Issuer)
	if err != nil {
		return nil, err
	}
	if !accountPattern.MatchString(p.Account) {
		return nil, fmt.Errorf("account %q is not 12 digits", p.Account)
	}
	out := &oidcProvider{
		name:      name,
		arn:       "arn:" + p.Partition + ":iam::" + p.Account + ":oidc-provider/" + name,
		clientIDs: p.ClientIDs,
		issuer:    p.Issuer,
		discovery: p.DiscoveryURL,
		jwks:      p.JWKSURL,
		tokenFile: p.BearerTokenFile,
		client:    &http.Client{Timeout: fetchTimeout},
	}
	if len(out.clientIDs) == 0 {
		out.clientIDs = []string{"sts.amazonaws.com"}
	}
	if out.discovery == "" {
		out.discovery = p.Issuer
	}
	if !strings.HasSuffix(out.discovery, discoverySuffix) {
		out.discovery = strings.TrimSuffix(out.discovery, "/") + discoverySuffix
	}
	// Ignore the environment's proxy, which may be this simulator.
	transport := &http.Transport{}
	out.client.Transport = transport
	if p.CAFile == "" {
		return out, nil
	}
	pem, err := os.ReadFile(p.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", p.CAFile)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	return out, nil
}

// tokenVerifier verifies tokens with the published keys of their issuers.
type tokenVerifier struct {
	// local returns the transport for an address that the simulator serves
	// itself, and nil for others.
	local func(url string) http.RoundTripper
}

func newTokenVerifier(local func(url string) http.RoundTripper) *tokenVerifier {
	return &tokenVerifier{local: local}
}

// key returns an issuer's key. It fetches the keys if there are none, if they
// are too old, or if the wanted key is missing.
func (v *tokenVerifier) key(ctx context.Context, p *oidcProvider, id string) (*jose.JSONWebKey, *apiError) {
	if id == "" {
		return nil, noKey()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.fetched) < keyLifetime {
		if found := p.keys.Key(id); len(found) > 0 {
			return &found[0], nil
		}
	}
	keys, err := v.fetchKeys(ctx, p)
	if errors.As(err, new(*unreachableError)) {
		return nil, noContact(p)
	}
	if err != nil {
		return nil, noKey()
	}
	p.keys, p.fetched = *keys, time.Now()
	found := p.keys.Key(id)
	if len(found) == 0 {
		return nil, noKey()
	}
	return &found[0], nil
}

func (v *tokenVerifier) fetchKeys(ctx context.Context, p *oidcProvider) (*jose.JSONWebKeySet, error) {
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := v.fetch(ctx, p, p.discovery, &document); err != nil {
		return nil, err
	}
	if document.Issuer != p.issuer {
		return nil, fmt.Errorf("the discovery document belongs to issuer %q", document.Issuer)
	}
	from := p.jwks
	if from == "" {
		from = document.JWKSURI
	}
	var keys jose.JSONWebKeySet
	if err := v.fetch(ctx, p, from, &keys); err != nil {
		return nil, err
	}
	return &keys, nil
}

// unreachableError means no connection to an issuer, or a 5xx response.
type unreachableError struct{ cause error }

func (e *unreachableError) Error() string { return "the issuer cannot be reached: " + e.cause.Error() }
func (e *unreachableError) Unwrap() error { return e.cause }

func (v *tokenVerifier) fetch(ctx context.Context, p *oidcProvider, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if p.tokenFile != "" {
		token, err := os.ReadFile(p.tokenFile)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	client := p.client
	if local := v.local(url); local != nil {
		client = &http.Client{Transport: local}
	}
	resp, err := client.Do(req)
	if err != nil {
		return &unreachableError{err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	switch {
	case err != nil:
		return &unreachableError{err}
	case resp.StatusCode >= 500:
		return &unreachableError{fmt.Errorf("GET %s: %s", url, resp.Status)}
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return json.Unmarshal(body, into)
}
