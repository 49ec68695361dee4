// In-process OIDC issuers that create tokens like a Kubernetes API server. Token
// format: kubernetes.io "Managing Service Accounts" (bound tokens) and
// "ServiceAccount token issuer discovery".

package awssim

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

const (
	issuerPath = "/issuer/"
	jwksSuffix = "/openid/v1/jwks"
)

// Issuer is an OIDC issuer inside the simulator. The account has it as an IAM
// identity provider with the audience sts.amazonaws.com. The Pod Identity agent
// accepts its tokens. Its methods may be called concurrently.
type Issuer struct {
	url string
	now func() time.Time
	arn string

	mu    sync.Mutex
	key   *rsa.PrivateKey
	keyID string
}

// issuerTable holds the issuers by the number in their URL.
type issuerTable struct {
	mu      sync.Mutex
	issuers []*Issuer
}

// NewIssuer creates an issuer. The AWS listener serves its discovery document
// and keys under /issuer/<number>.
func (s *Sim) NewIssuer() (*Issuer, error) {
	i := &Issuer{now: s.now}
	if err := i.newKey(); err != nil {
		return nil, err
	}
	s.issuers.mu.Lock()
	s.issuers.issuers = append(s.issuers.issuers, i)
	i.url = s.url + issuerPath + strconv.Itoa(len(s.issuers.issuers))
	s.issuers.mu.Unlock()

	name, err := schemeless(i.url)
	if err != nil {
		return nil, err
	}
	i.arn = "arn:aws:iam::" + s.account + ":oidc-provider/" + name
	return i, s.iam.putProvider(OIDCProvider{Issuer: i.url})
}

// URL is the issuer's URL, as in "iss".
func (i *Issuer) URL() string { return i.url }

// ProviderARN is the ARN of the IAM identity provider, for the Principal of
// trust policies.
func (i *Issuer) ProviderARN() string { return i.arn }

// ConditionKey returns the condition key of a claim ("sub" or "aud"): the issuer
// without its scheme, a colon and the claim.
func (i *Issuer) ConditionKey(claim string) string {
	name, _ := schemeless(i.url)
	return name + ":" + claim
}

// TrustPolicy returns the usual trust policy for one ServiceAccount of this
// issuer's cluster.
func (i *Issuer) TrustPolicy(namespace, serviceAccount string) Document {
	return document(map[string]any{
		"Effect":    "Allow",
		"Principal": map[string]any{"Federated": i.arn},
		"Action":    "sts:AssumeRoleWithWebIdentity",
		"Condition": map[string]any{"StringEquals": map[string]any{
			i.ConditionKey("sub"): "system:serviceaccount:" + namespace + ":" + serviceAccount,
			i.ConditionKey("aud"): "sts.amazonaws.com",
		}},
	})
}

// RotateKey replaces the signing key and no longer publishes the old one.
func (i *Issuer) RotateKey() {
	if err := i.newKey(); err != nil {
		panic(err) // crypto/rand does not fail
	}
}

func (i *Issuer) newKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("make an issuer's key: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("make an issuer's key: %w", err)
	}
	sum := sha256.Sum256(der) // Kubernetes computes key ids like this
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key, i.keyID = key, base64.RawURLEncoding.EncodeToString(sum[:])
	return nil
}

// Token describes a projected ServiceAccount token.
type Token struct {
	Namespace, ServiceAccount string
	// ServiceAccountUID and PodUID are derived from the names when empty.
	ServiceAccountUID string
	// Pod and Node are omitted from the token when empty.
	Pod, PodUID, Node string
	// Audience is ["sts.amazonaws.com"] when nil.
	Audience []string
	// IssuedAt defaults to the simulator's time; nbf is the same.
	IssuedAt time.Time
	// TTL defaults to 1 h. A negative TTL creates an expired token.
	TTL time.Duration
	// Claims override the claims from the other fields; nil removes a claim.
	Claims map[string]any
	// SignWith overrides the issuer's key: an *rsa.PrivateKey or an
	// *ecdsa.PrivateKey (P-256). Unless the key is published, this is a forgery.
	SignWith crypto.Signer
	// KeyID is the "kid" of the header. Default: the issuer's current key.
	KeyID string
}

// Token creates a signed token.
func (i *Issuer) Token(t Token) (string, error) {
	i.mu.Lock()
	var key crypto.Signer = i.key
	keyID := i.keyID
	i.mu.Unlock()
	if t.SignWith != nil {
		key = t.SignWith
	}
	if t.KeyID != "" {
		keyID = t.KeyID
	}
	algorithm := jose.RS256
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		algorithm = jose.ES256
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, nil)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	payload, err := json.Marshal(i.claims(t))
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed.CompactSerialize()
}

func (i *Issuer) claims(t Token) map[string]any {
	if t.Audience == nil {
		t.Audience = []string{"sts.amazonaws.com"}
	}
	if t.IssuedAt.IsZero() {
		t.IssuedAt = i.now()
	}
	if t.TTL == 0 {
		t.TTL = time.Hour
	}
	kubernetes := map[string]any{
		"namespace":      t.Namespace,
		"serviceaccount": boundObject(t.ServiceAccount, t.ServiceAccountUID, "serviceaccount/"+t.Namespace),
	}
	if t.Pod != "" {
		kubernetes["pod"] = boundObject(t.Pod, t.PodUID, "pod/"+t.Namespace)
	}
	if t.Node != "" {
		kubernetes["node"] = boundObject(t.Node, "", "node")
	}
	claims := map[string]any{
		"iss":           i.url,
		"aud":           t.Audience,
		"sub":           "system:serviceaccount:" + t.Namespace + ":" + t.ServiceAccount,
		"iat":           t.IssuedAt.Unix(),
		"nbf":           t.IssuedAt.Unix(),
		"exp":           t.IssuedAt.Add(t.TTL).Unix(),
		"jti":           newUUID(randomBytes(16)),
		"kubernetes.io": kubernetes,
	}
	maps.Copy(claims, t.Claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// boundObject returns a name and a uid. The default uid is derived from the name,
// so that an object has the same uid in every token.
func boundObject(name, uid, kind string) map[string]any {
	if uid == "" {
		sum := sha256.Sum256([]byte(kind + "/" + name))
		uid = newUUID(sum[:16])
	}
	return map[string]any{"name": name, "uid": uid}
}

// serveIssuer serves discovery documents and key sets.
func (s *Sim) serveIssuer(w http.ResponseWriter, r *http.Request) {
	number, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, issuerPath), "/")
	n, _ := strconv.Atoi(number)
	s.issuers.mu.Lock()
	var i *Issuer
	if n >= 1 && n <= len(s.issuers.issuers) {
		i = s.issuers.issuers[n-1]
	}
	s.issuers.mu.Unlock()
	switch {
	case i != nil && "/"+rest == discoverySuffix:
		writeJSON(w, http.StatusOK, map[string]any{
			"issuer":                                i.url,
			"jwks_uri":                              i.url + jwksSuffix,
			"response_types_supported":              []string{"id_token"},
			"subject_types_supported":               []string{"public"},
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	case i != nil && "/"+rest == jwksSuffix:
		i.mu.Lock()
		key := jose.JSONWebKey{Key: i.key.Public(), KeyID: i.keyID, Algorithm: string(jose.RS256), Use: "sig"}
		i.mu.Unlock()
		writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
	default:
		http.NotFound(w, r)
	}
}

// ownTransport sends requests to the simulator's own issuers without a socket.
// STS's internal requests must not change the Connections that tests count.
func (s *Sim) ownTransport(url string) http.RoundTripper {
	if !strings.HasPrefix(url, s.url+issuerPath) {
		return nil
	}
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		w := &memoryResponse{header: http.Header{}, status: http.StatusOK}
		s.serveIssuer(w, r)
		return &http.Response{
			StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header,
			Body: io.NopCloser(&w.body), Request: r,
		}, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// memoryResponse is a ResponseWriter that keeps the response in memory.
type memoryResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *memoryResponse) Header() http.Header         { return w.header }
func (w *memoryResponse) WriteHeader(status int)      { w.status = status }
func (w *memoryResponse) Write(p []byte) (int, error) { return w.body.Write(p) }
