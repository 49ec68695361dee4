package auth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"secrets-provider-aws/internal/fault"
)

// fuzzPod is the pod of the fuzzed tokens.
var fuzzPod = Pod{Namespace: "payments", ServiceAccount: "payment-sa"}

const goodClaims = `{"iss":"https://oidc.eks.eu-west-1.amazonaws.com/id/0A1B","aud":["sts.amazonaws.com"],"sub":"system:serviceaccount:payments:payment-sa",` +
	`"exp":4102444800,"iat":1700000000,"kubernetes.io":{"namespace":"payments","node":{"name":"node-1","uid":"n"},"pod":{"name":"p","uid":"u"},"serviceaccount":{"name":"payment-sa","uid":"s"}}}`

// claimTexts are payloads of tokens: one valid payload, and invalid ones.
var claimTexts = []string{
	goodClaims,
	`{}`, `null`, `[]`, `"a"`, `7`, ``, `{`,
	`{"sub":"system:serviceaccount:payments:payment-sa"}`,
	`{"sub":"system:serviceaccount:payments:payment-sa","exp":1e300}`,
	`{"sub":"system:serviceaccount:payments:payment-sa","exp":-1e300}`,
	`{"sub":"system:serviceaccount:payments:payment-sa","exp":4102444800.5,"kubernetes.io":null}`,
	`{"sub":"system:serviceaccount:payments:other","exp":4102444800}`,
	`{"sub":7,"exp":"4102444800"}`,
	`{"SUB":"system:serviceaccount:payments:payment-sa","Exp":4102444800}`,
	`{"kubernetes.io":{"node":{"name":"../../secrets"},"serviceaccount":[]}}`,
	"{\"sub\":\"\xff\\u0000\\ud800\",\"iss\":\"\\u202e\"}",
}

// makeToken returns a token of three base64url parts, so that the fuzzer reaches its claims.
func makeToken(header, payload, signature string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode([]byte(signature))
}

// checkNoPiece fails the test if text contains more than 16 bytes of token that are not in allowed.
func checkNoPiece(t *testing.T, text, token, allowed string) {
	t.Helper()
	const most = 16
	for i := 0; i+most < len(token); i++ {
		if piece := token[i : i+most+1]; strings.Contains(text, piece) && !strings.Contains(allowed, piece) {
			t.Fatalf("the error contains %q of the token: %s", piece, text)
		}
	}
}

// FuzzParseClaims checks that a token gives its claims, or an error that contains no part of it.
func FuzzParseClaims(f *testing.F) {
	for _, payload := range claimTexts {
		f.Add(`{"alg":"RS256","kid":"k"}`, payload, "signature", "")
	}
	f.Add("", "", "", "not-a-jwt-at-all-not-a-jwt-at-all")
	f.Add("", goodClaims, strings.Repeat("s", 20000), "")
	f.Fuzz(func(t *testing.T, header, payload, signature, raw string) {
		if raw == "" {
			raw = makeToken(header, payload, signature)
		}
		_, err := parseClaims(raw)
		if err != nil {
			checkNoPiece(t, fmt.Sprintf("%v %+v %#v", err, err, err), raw, "")
			return
		}
		if len(raw) > maxToken {
			t.Errorf("accepted a token of %d bytes", len(raw))
		}
		if raw == makeToken(header, payload, signature) && !json.Valid([]byte(payload)) {
			t.Errorf("accepted claims that are not JSON: %q", payload)
		}
	})
}

// FuzzParseTokens checks the same for the tokens of a mount request. Only a token that names the pod and has
// not expired is accepted.
func FuzzParseTokens(f *testing.F) {
	for _, payload := range claimTexts {
		f.Add(AudienceSTS, `{"alg":"RS256"}`, payload, "signature", "")
	}
	f.Add(AudienceEKS, "h", goodClaims, "s", "")
	f.Add("", "", "", "", `{"sts.amazonaws.com":{"token":"secret-secret-secret","expirationTimestamp":"2026-03-01T13:00:00Z"}}`)
	f.Add("", "", "", "", `{"sts.amazonaws.com":{"token":7}}`)
	f.Add("", "", "", "", `["sts.amazonaws.com"]`)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, audience, header, payload, signature, text string) {
		token := text
		if text == "" {
			token = makeToken(header, payload, signature)
			wrapped, err := json.Marshal(map[string]map[string]string{audience: {"token": token}})
			if err != nil {
				t.Fatal(err) // strings can always be marshalled
			}
			text = string(wrapped)
		}
		tokens, err := ParseTokens(text)
		if err != nil {
			if tokens != nil || fault.KindOf(err) != fault.Identity {
				t.Errorf("error %v of kind %v beside tokens", err, fault.KindOf(err))
			}
			checkNoPiece(t, err.Error(), token, "")
			return
		}
		if shown := fmt.Sprintf("%v %+v %#v", tokens, tokens, tokens); shown != "[redacted] [redacted] [redacted]" {
			t.Fatalf("tokens print as %s", shown)
		}
		node := tokens.Node()
		got, err := tokens.forPod(AudienceSTS, fuzzPod, now)
		c, _ := parseClaims(tokens[AudienceSTS].raw)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("the error is more than one line: %q", err)
			}
			// The message names the subject, which may look like another part of the token.
			checkNoPiece(t, err.Error(), token, fault.Quote(c.Subject)+fuzzPod.subject()+AudienceSTS)
			return
		}
		if c.Subject != fuzzPod.subject() || c.Expires <= float64(now.Unix()) || got.raw != tokens[AudienceSTS].raw {
			t.Errorf("accepted the token of %q that expires at %v, on node %q", c.Subject, c.Expires, node)
		}
	})
}

// FuzzAgentResponse checks that a response of the Pod Identity agent, or of another program at its address, gives
// complete and valid credentials, or an error of one line that contains no credentials and no token.
func FuzzAgentResponse(f *testing.F) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const good = `{"AccessKeyId":"ASIA","SecretAccessKey":"secret-secret-secret","Token":"token-token-token-token","AccountId":"123456789012","Expiration":"2026-03-01T18:00:00Z"}`
	f.Add(200, []byte(good))
	for _, body := range []string{
		"", "null", "{}", "[]", "7", `"secret-secret-secret"`, strings.Replace(good, "2026", "2025", 1), strings.Replace(good, `"2026-03-01T18:00:00Z"`, "1772388000", 1),
		strings.Replace(good, "ASIA", "", 1), strings.Replace(good, `"Token":`, `"token":`, 1), good[:40], good + good, "\xff\xfe" + good, strings.Repeat("[", 70000),
	} {
		f.Add(200, []byte(body))
	}
	f.Add(404, []byte("[id]: (ResourceNotFoundException): No association found, fault: client"))
	f.Add(400, []byte("(AccessDeniedException): , fault: "))
	f.Add(500, []byte("unable to fetch credentials\r\n\x1b[31m\u202e"))
	f.Add(429, []byte(strings.Repeat("é", 1000)))
	raw := makeToken(`{"alg":"RS256"}`, goodClaims, strings.Repeat("signature", 20))
	f.Add(400, []byte("you sent "+raw))
	f.Add(403, []byte("a, "+raw[:len(raw)/2]+"\n"+raw))
	g := newAgent(Agent{}, nil, func() time.Time { return now })
	id := Identity{Mode: PodIdentity, Namespace: "payments", ServiceAccount: "payment-sa", PodUID: "u"}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		c, err := g.read(id, Token{raw: raw}, status, body)
		if err == nil {
			if status != 200 || c.AccessKeyID == "" || c.SecretAccessKey == "" || c.SessionToken == "" || !c.CanExpire || !now.Before(c.Expires) {
				t.Errorf("accepted %q with status %d", body, status)
			}
			return
		}
		text := err.Error()
		if c.HasKeys() || fault.KindOf(err) != fault.Credentials && fault.KindOf(err) != fault.Transient {
			t.Errorf("error %v of kind %v beside %d bytes of credentials", err, fault.KindOf(err), len(c.AccessKeyID))
		}
		if strings.ContainsAny(text, "\r\n\x1b") || !utf8.ValidString(text) || len(text) > 1000 {
			t.Errorf("not one printable line of at most 1000 bytes: %q", text)
		}
		for _, part := range append(strings.Split(raw, "."), raw) {
			if strings.Contains(text, part) {
				t.Errorf("the error repeats the token: %s", text)
			}
		}
		if status == 200 { // a response with one invalid field still contains credentials
			const own = "ServiceAccount payments/payment-sa gets no credentials from EKS Pod Identity: the agent on the node returned no usable response: it is not the JSON of credentials longer than 64 KiB " +
				"it lacks AccessKeyId, SecretAccessKey, Token or Expiration its credentials have expired, by the clock of the node (the kubelet retries automatically)"
			checkNoPiece(t, text, string(body), own)
		}
	})
}

// The agent runs on the node. A proxy would see the token.
func TestA15_PodIdentityUsesNoProxy(t *testing.T) {
	transport, ok := newAgent(Agent{}, nil, time.Now).http.Transport.(*http.Transport)
	if !ok || transport.Proxy != nil {
		t.Errorf("transport %+v, want one without a proxy", transport)
	}
}
