package awssim_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// TestRefusedSignatures sends each damaged request to one service per protocol.
// Both refuse it for the same reason, with their own error codes.
func TestRefusedSignatures(t *testing.T) {
	b := start(t)
	live := b.payment(t)
	replace := func(header, old, new string) tamper {
		return func(r *http.Request) {
			changed := strings.Replace(r.Header.Get(header), old, new, 1)
			if changed == r.Header.Get(header) {
				t.Errorf("%s has no %q: this case tests nothing", header, old)
			}
			r.Header.Set(header, changed)
		}
	}
	value, err := live.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		creds            aws.CredentialsProvider
		tamper           tamper
		jsonCode, qyCode string
		part             string
	}{
		"no signature": {tamper: func(r *http.Request) { r.Header.Del("Authorization") },
			jsonCode: "MissingAuthenticationTokenException", qyCode: "MissingAuthenticationToken", part: "Missing Authentication Token"},
		"another scheme": {tamper: func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") },
			jsonCode: "IncompleteSignatureException", qyCode: "IncompleteSignature", part: "AWS4-HMAC-SHA256"},
		"no signature value": {tamper: replace("Authorization", "Signature=", "Seal="),
			jsonCode: "IncompleteSignatureException", qyCode: "IncompleteSignature", part: "'Signature'"},
		"no date": {tamper: func(r *http.Request) { r.Header.Del("X-Amz-Date") },
			jsonCode: "IncompleteSignatureException", qyCode: "IncompleteSignature", part: "'X-Amz-Date'"},
		"scope with another ending": {tamper: replace("Authorization", "/aws4_request", "/aws5_request"),
			jsonCode: "InvalidSignatureException", qyCode: "SignatureDoesNotMatch", part: "valid terminator"},
		"scope cut short": {tamper: replace("Authorization", "/aws4_request", ""),
			jsonCode: "IncompleteSignatureException", qyCode: "IncompleteSignature", part: "exactly 5"},
		"changed body": {tamper: func(r *http.Request) {
			data, _ := io.ReadAll(r.Body)
			data = bytes.Replace(data, []byte("db"), []byte("xx"), 1)
			data = bytes.Replace(data, []byte("Version=2011"), []byte("Version=2012"), 1)
			r.Body = io.NopCloser(bytes.NewReader(data))
		}, jsonCode: "InvalidSignatureException", qyCode: "SignatureDoesNotMatch", part: "does not match"},
		"changed signed header": {tamper: replace("Amz-Sdk-Invocation-Id", "-", "x"),
			jsonCode: "InvalidSignatureException", qyCode: "SignatureDoesNotMatch", part: "does not match"},
		"declared hash of another body": {tamper: func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", strings.Repeat("0", 64)) },
			jsonCode: "InvalidSignatureException", qyCode: "SignatureDoesNotMatch", part: "'x-amz-content-sha256' must be a 'SignedHeader'"},
		"unsigned amz header": {tamper: func(r *http.Request) { r.Header.Set("X-Amz-Smuggled", "1") },
			jsonCode: "InvalidSignatureException", qyCode: "SignatureDoesNotMatch", part: "'x-amz-smuggled' must be a 'SignedHeader'"},
		"host not signed": {tamper: replace("Authorization", "host;", ""),
			jsonCode: "InvalidSignatureException", qyCode: "SignatureDoesNotMatch", part: "'Host'"},
		"scope of another region": {tamper: replace("Authorization", "/"+region+"/", "/eu-west-1/"),
			jsonCode: "InvalidSignatureException", qyCode: "SignatureDoesNotMatch", part: "does not match"},
		"scope of another service": {tamper: func(r *http.Request) {
			header := r.Header.Get("Authorization")
			header = strings.Replace(header, "/secretsmanager/", "/kms/", 1)
			r.Header.Set("Authorization", strings.Replace(header, "/sts/", "/kms/", 1))
		}, jsonCode: "InvalidSignatureException", qyCode: "SignatureDoesNotMatch", part: "Credential should be scoped to correct service"},
		"scope of another day": {tamper: replace("Authorization", time.Now().UTC().Format("/20060102/"), "/20200101/"),
			jsonCode: "InvalidSignatureException", qyCode: "SignatureDoesNotMatch", part: "Date in Credential scope does not match"},
		"host name of another region": {tamper: func(r *http.Request) {
			service := "sts"
			if r.Header.Get("X-Amz-Target") != "" {
				service = "secretsmanager"
			}
			r.Host = service + ".us-east-1.amazonaws.com"
		}, jsonCode: "InvalidSignatureException", qyCode: "SignatureDoesNotMatch", part: "Credential should be scoped to a valid region"},
		"wrong secret": {creds: credentials.NewStaticCredentialsProvider(value.AccessKeyID, "guessed", value.SessionToken),
			jsonCode: "InvalidSignatureException", qyCode: "SignatureDoesNotMatch", part: "does not match"},
		"unknown key": {creds: credentials.NewStaticCredentialsProvider("AKIANOBODY", "x", ""),
			jsonCode: "UnrecognizedClientException", qyCode: "InvalidClientTokenId", part: "is invalid"},
		"no session token": {creds: credentials.NewStaticCredentialsProvider(value.AccessKeyID, value.SecretAccessKey, ""),
			jsonCode: "UnrecognizedClientException", qyCode: "InvalidClientTokenId", part: "is invalid"},
		"another session's token": {creds: credentials.NewStaticCredentialsProvider(value.AccessKeyID, value.SecretAccessKey, "x"+value.SessionToken),
			jsonCode: "UnrecognizedClientException", qyCode: "InvalidClientTokenId", part: "is invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			creds := tc.creds
			if creds == nil {
				creds = live
			}
			var transport http.RoundTripper
			if tc.tamper != nil {
				transport = tc.tamper
			}
			cfg := b.config(creds, transport)
			err := getDB(t, secretsmanager.NewFromConfig(cfg))
			wantError(t, err, 400, tc.jsonCode, tc.part)
			_, err = sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
			wantError(t, err, 403, tc.qyCode, tc.part)
			for _, secret := range []string{value.SecretAccessKey, value.SessionToken} {
				if strings.Contains(err.Error(), secret) {
					t.Error("the error repeats a credential")
				}
			}
		})
	}
}

func TestSignatureTooOldOrTooNew(t *testing.T) {
	b := start(t)
	creds := b.payment(t)
	for offset, part := range map[time.Duration]string{
		16 * time.Minute: "Signature expired:", -16 * time.Minute: "Signature not yet current:",
	} {
		b.clock.set(offset)
		client := b.secrets(creds)
		wantError(t, getDB(t, client), 400, "InvalidSignatureException", part)
		if err := getDB(t, client); err != nil {
			t.Errorf("%v apart: the client has not learned the time from the response: %v", offset, err)
		}
	}
	for _, offset := range []time.Duration{14 * time.Minute, -14 * time.Minute} {
		b.clock.set(offset)
		if err := getDB(t, b.secrets(creds)); err != nil {
			t.Errorf("%v apart: %v", offset, err)
		}
	}
}

func TestExpiredSession(t *testing.T) {
	b := start(t)
	b.clock.set(-59 * time.Minute)
	creds := b.payment(t)
	b.clock.set(0)
	if err := getDB(t, b.secrets(creds)); err != nil {
		t.Fatalf("a session is refused a minute before it expires: %v", err)
	}
	b.clock.set(2 * time.Minute)
	wantError(t, getDB(t, b.secrets(creds)), 400, "ExpiredTokenException", "is expired")
	_, err := sts.NewFromConfig(b.config(creds, nil)).GetCallerIdentity(t.Context(), nil)
	wantError(t, err, 403, "ExpiredToken", "is expired")
}

func TestSessionOfARemovedRole(t *testing.T) {
	b := start(t)
	client := b.secrets(b.payment(t))
	if err := b.RemoveRole("payment-role"); err != nil {
		t.Fatal(err)
	}
	wantError(t, getDB(t, client), 400, "UnrecognizedClientException", "is invalid")
}

// TestSignedQueryAndOddHeaders signs a GET of the query protocol, with a
// canonical query string and a header with repeated spaces.
func TestSignedQueryAndOddHeaders(t *testing.T) {
	b := start(t)
	creds, err := b.payment(t).Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet, b.URL()+"/?Version=2011-06-15&Action=GetCallerIdentity", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Meta", "  a   b ")
	const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, req, emptyHash, "sts", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	if status := statusOf(t, req); status != http.StatusOK {
		t.Errorf("status %d, want 200", status)
	}
	declared := req.Clone(t.Context())
	declared.Header.Set("X-Amz-Content-Sha256", strings.Repeat("0", 64))
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, declared, emptyHash, "sts", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	if status := statusOf(t, declared); status != http.StatusForbidden {
		t.Errorf("well signed, but with another body's hash in the header: status %d, want 403", status)
	}
	req.URL.RawQuery += "&Action=AssumeRole"
	if status := statusOf(t, req); status != http.StatusForbidden {
		t.Errorf("a changed query: status %d, want 403", status)
	}
}

func statusOf(t *testing.T, r *http.Request) int {
	t.Helper()
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestSSMRequiresASignature(t *testing.T) {
	b := start(t)
	in := &ssm.GetParametersInput{Names: []string{"/app"}}
	wrong := credentials.NewStaticCredentialsProvider("AKIANOBODY", "x", "")
	_, err := b.ssm(wrong).GetParameters(t.Context(), in)
	wantError(t, err, 400, "UnrecognizedClientException", "is invalid")
}

func TestUnknownTargets(t *testing.T) {
	b := start(t)
	for name, change := range map[string]tamper{
		"unknown service":        func(r *http.Request) { r.Header.Set("X-Amz-Target", "kms.Decrypt") },
		"another content type":   func(r *http.Request) { r.Header.Set("Content-Type", "application/json") },
		"another path":           func(r *http.Request) { r.URL.Path = "/v1" },
		"another service's host": func(r *http.Request) { r.Host = "ssm." + region + ".amazonaws.com" },
	} {
		t.Run(name, func(t *testing.T) {
			err := getDB(t, secretsmanager.NewFromConfig(b.config(b.payment(t), change)))
			wantError(t, err, 404, "UnknownOperationException", "")
		})
	}
}
