package awssim_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/awssim"
)

func TestWebIdentitySession(t *testing.T) {
	b := start(t)
	out, err := b.webIdentity(t, paymentRole, b.token(t, paymentToken()))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{
		"arn":      *out.AssumedRoleUser.Arn,
		"subject":  *out.SubjectFromWebIdentityToken,
		"audience": *out.Audience,
		"provider": *out.Provider,
		"key":      (*out.Credentials.AccessKeyId)[:4],
	}
	want := map[string]string{
		"arn":      "arn:aws:sts::123456789012:assumed-role/payment-role/payment-api",
		"subject":  "system:serviceaccount:payment:api",
		"audience": "sts.amazonaws.com",
		"provider": b.issuer.ProviderARN(),
		"key":      "ASIA",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !strings.HasSuffix(*out.AssumedRoleUser.AssumedRoleId, ":payment-api") {
		t.Errorf("AssumedRoleId %s", *out.AssumedRoleUser.AssumedRoleId)
	}
	if left := time.Until(*out.Credentials.Expiration); left < 59*time.Minute || left > 61*time.Minute {
		t.Errorf("the session lasts %v, want an hour", left)
	}
	if err := getDB(t, b.secrets(static(out.Credentials))); err != nil {
		t.Errorf("the session does not work: %v", err)
	}
}

func TestA8_WebIdentityRefusesTokens(t *testing.T) {
	b := start(t)
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	unregistered := "https://oidc.example.com/id/1"
	claims := func(c map[string]any) func(*awssim.Token) {
		return func(t *awssim.Token) { t.Claims = c }
	}
	later := time.Now().Add(10 * time.Minute).Unix()
	for name, tc := range map[string]struct {
		change func(*awssim.Token)
		mangle func(string) string
		status int
		code   string
		part   string
	}{
		"expired": {change: func(t *awssim.Token) { t.TTL = -time.Minute }, status: 400, code: "ExpiredTokenException",
			part: "Token expired: current date/time "},
		"wrong audience": {change: func(t *awssim.Token) { t.Audience = []string{"https://kubernetes.default.svc"} }, status: 400,
			code: "InvalidIdentityToken", part: "Incorrect token audience"},
		"no audience": {change: claims(map[string]any{"aud": nil}), status: 400, code: "InvalidIdentityToken", part: "Missing a required claim"},
		"foreign key": {change: func(t *awssim.Token) { t.SignWith = foreign }, status: 400, code: "InvalidIdentityToken", part: "signature"},
		"foreign key of another kind": {change: func(t *awssim.Token) { t.SignWith = curve }, status: 400, code: "InvalidIdentityToken",
			part: "signature"},
		"wrong kid": {change: func(t *awssim.Token) { t.KeyID = "nobody" }, status: 400, code: "InvalidIdentityToken",
			part: "Couldn't retrieve verification key from your identity provider"},
		"unregistered issuer": {change: claims(map[string]any{"iss": unregistered}), status: 400, code: "InvalidIdentityToken",
			part: "No OpenIDConnect provider found in your account for " + unregistered},
		"not yet valid":        {change: claims(map[string]any{"nbf": later}), status: 400, code: "InvalidIdentityToken", part: "not yet valid"},
		"issued in the future": {change: claims(map[string]any{"iat": later}), status: 400, code: "InvalidIdentityToken", part: "not yet valid"},
		"no expiry":            {change: claims(map[string]any{"exp": nil}), status: 400, code: "InvalidIdentityToken", part: "Missing a required claim"},
		"no subject":           {change: claims(map[string]any{"sub": nil}), status: 400, code: "InvalidIdentityToken", part: "Missing a required claim"},
		"wrong subject": {change: claims(map[string]any{"sub": "system:serviceaccount:payment:other"}), status: 403, code: "AccessDenied",
			part: "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		"another namespace": {change: func(t *awssim.Token) { t.Namespace = "default" }, status: 403, code: "AccessDenied",
			part: "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		"changed claims": {mangle: withClaim("sub", "system:serviceaccount:payment:admin"), status: 400, code: "InvalidIdentityToken", part: "signature"},
		"algorithm none": {mangle: unsigned, status: 400, code: "InvalidIdentityToken", part: "not a valid JWT"},
		"not a token":    {mangle: func(string) string { return "garbage" }, status: 400, code: "InvalidIdentityToken", part: "not a valid JWT"},
		"too long": {mangle: func(string) string { return strings.Repeat("x", 20001) }, status: 400, code: "ValidationError",
			part: "'webIdentityToken' failed to satisfy constraint: Member must have length less than or equal to 20000"},
	} {
		t.Run(name, func(t *testing.T) {
			want := paymentToken()
			if tc.change != nil {
				tc.change(&want)
			}
			token := b.token(t, want)
			if tc.mangle != nil {
				token = tc.mangle(token)
			}
			_, err := b.webIdentity(t, paymentRole, token)
			wantError(t, err, tc.status, tc.code, tc.part)
			if strings.Contains(err.Error(), token) {
				t.Error("the error repeats the token")
			}
		})
	}
}

// withClaim changes the payload of a token but keeps its signature.
func withClaim(name, value string) func(string) string {
	return func(token string) string {
		parts := strings.Split(token, ".")
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		var claims map[string]any
		_ = json.Unmarshal(payload, &claims)
		claims[name] = value
		payload, _ = json.Marshal(claims)
		parts[1] = base64.RawURLEncoding.EncodeToString(payload)
		return strings.Join(parts, ".")
	}
}

func unsigned(token string) string {
	parts := strings.Split(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
}

func TestWebIdentityRefusesParameters(t *testing.T) {
	b := start(t)
	for name, tc := range map[string]struct {
		change func(*sts.AssumeRoleWithWebIdentityInput)
		status int
		code   string
		part   string
	}{
		"session name with a colon": {func(in *sts.AssumeRoleWithWebIdentityInput) { in.RoleSessionName = aws.String("system:x") },
			400, "ValidationError", `'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*`},
		"session name too short": {func(in *sts.AssumeRoleWithWebIdentityInput) { in.RoleSessionName = aws.String("x") },
			400, "ValidationError", "greater than or equal to 2"},
		"session name too long": {func(in *sts.AssumeRoleWithWebIdentityInput) { in.RoleSessionName = aws.String(strings.Repeat("x", 65)) },
			400, "ValidationError", "less than or equal to 64"},
		"not an ARN": {func(in *sts.AssumeRoleWithWebIdentityInput) { in.RoleArn = aws.String("payment-role-of-the-account") },
			400, "ValidationError", "is invalid"},
		"a role that does not exist": {func(in *sts.AssumeRoleWithWebIdentityInput) { in.RoleArn = aws.String(paymentRole + "2") },
			403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		"an account without the provider": {func(in *sts.AssumeRoleWithWebIdentityInput) {
			in.RoleArn = aws.String("arn:aws:iam::999999999999:role/payment-role")
		}, 400, "InvalidIdentityToken", "No OpenIDConnect provider found"},
		"too short": {func(in *sts.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(899) },
			400, "ValidationError", "greater than or equal to 900"},
		"longer than STS allows": {func(in *sts.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(43201) },
			400, "ValidationError", "less than or equal to 43200"},
		"longer than the role allows": {func(in *sts.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(3601) },
			400, "ValidationError", "exceeds the MaxSessionDuration set for this role"},
		"a session policy, which the simulator would ignore": {func(in *sts.AssumeRoleWithWebIdentityInput) { in.Policy = aws.String("{}") },
			501, "NotImplemented", "Policy"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &sts.AssumeRoleWithWebIdentityInput{
				RoleArn: aws.String(paymentRole), RoleSessionName: aws.String("payment-api"),
				WebIdentityToken: aws.String(b.token(t, paymentToken())), DurationSeconds: aws.Int32(3600),
			}
			if _, err := b.sts().AssumeRoleWithWebIdentity(t.Context(), in); err != nil {
				t.Fatalf("the unchanged request fails: %v", err)
			}
			tc.change(in)
			_, err := b.sts().AssumeRoleWithWebIdentity(t.Context(), in)
			wantError(t, err, tc.status, tc.code, tc.part)
		})
	}
}

func TestRotatedKeyReplacesTheOldOne(t *testing.T) {
	b := start(t)
	old := b.token(t, paymentToken())
	if _, err := b.webIdentity(t, paymentRole, old); err != nil {
		t.Fatal(err)
	}
	b.issuer.RotateKey()
	if _, err := b.webIdentity(t, paymentRole, b.token(t, paymentToken())); err != nil {
		t.Errorf("a token with the new key is refused: %v", err)
	}
	_, err := b.webIdentity(t, paymentRole, old)
	wantError(t, err, 400, "InvalidIdentityToken", "Couldn't retrieve verification key")
}

func TestDisabledRegion(t *testing.T) {
	b := start(t, func(c *awssim.Config) { c.State.STSDisabledRegions = []string{region} })
	cfg := b.config(nil, tamper(func(r *http.Request) { r.Host = "sts." + region + ".amazonaws.com" }))
	_, err := sts.NewFromConfig(cfg).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(paymentRole), RoleSessionName: aws.String("payment-api"),
		WebIdentityToken: aws.String(b.token(t, paymentToken())),
	})
	wantError(t, err, 403, "RegionDisabledException", "STS is not activated in this region for account:"+account)
	if got := b.CallLog()[0].Region; got != region {
		t.Errorf("the call log has region %q, want the host name's", got)
	}
}

// TestExternalIssuer simulates a real API server: the issuer's name is not an
// address, its documents are at another URL and need a bearer token.
func TestExternalIssuer(t *testing.T) {
	const issuer = "https://kubernetes.default.svc"
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}}}
	down := false
	name := issuer
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case down:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Header.Get("Authorization") != "Bearer reader":
			w.WriteHeader(http.StatusForbidden)
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	defer server.Close()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": name, "jwks_uri": "https://10.0.0.1:6443/unreachable"})
	})
	mux.HandleFunc("/openid/v1/jwks", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(keys) })
	dir := t.TempDir()
	ca, tokenFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	writeFile(t, ca, pemOf(server.Certificate().Raw))

	b := start(t)
	if err := b.AddOIDCProvider(awssim.OIDCProvider{
		Issuer: issuer, DiscoveryURL: server.URL, JWKSURL: server.URL + "/openid/v1/jwks", CAFile: ca, BearerTokenFile: tokenFile,
	}); err != nil {
		t.Fatal(err)
	}
	trust := strings.ReplaceAll(string(b.issuer.TrustPolicy("payment", "api")), strings.TrimPrefix(b.issuer.URL(), "http://"), strings.TrimPrefix(issuer, "https://"))
	b.addRole(t, awssim.Role{Name: "external", TrustPolicy: awssim.Document(trust)})
	want := paymentToken()
	want.Claims, want.SignWith, want.KeyID = map[string]any{"iss": issuer}, key, "k1"
	token := b.token(t, want)
	external := "arn:aws:iam::" + account + ":role/external"

	writeFile(t, tokenFile, []byte("stranger\n"))
	_, err = b.webIdentity(t, external, token)
	wantError(t, err, 400, "InvalidIdentityToken", "Couldn't retrieve verification key")

	writeFile(t, tokenFile, []byte("reader\n"))
	name = "https://another.example.com"
	_, err = b.webIdentity(t, external, token)
	wantError(t, err, 400, "InvalidIdentityToken", "Couldn't retrieve verification key")

	name, down = issuer, true
	_, err = b.webIdentity(t, external, token)
	wantError(t, err, 400, "IDPCommunicationError", "kubernetes.default.svc")

	down = false
	if _, err = b.webIdentity(t, external, token); err != nil {
		t.Errorf("a valid token of a valid issuer is refused: %v", err)
	}
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
