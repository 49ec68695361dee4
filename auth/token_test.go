package auth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/fault"
)

func TestD13_TokensFromDriver(t *testing.T) {
	b := start(t, nil)
	token := jwt(t, paymentClaims(nil))
	text := `{"pods.eks.amazonaws.com":{"token":"other","expirationTimestamp":"2026-03-01T13:00:00Z"},` +
		`"sts.amazonaws.com":{"token":"` + token + `","expirationTimestamp":"2026-03-01T13:00:00Z","added":"later"}}`
	tokens, err := auth.ParseTokens(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(tokens) != 2 {
		t.Errorf("%d tokens, want 2", len(tokens))
	}
	id, _, err := b.Identify(t.Context(), payment, tokens, auth.IdentityOptions{RoleARN: roleARN})
	if err != nil {
		t.Fatal(err)
	}
	want := auth.Identity{Namespace: "payments", ServiceAccount: "payment-sa", ServiceAccountUID: "uid-of-the-account", RoleARN: roleARN}
	if diff := cmp.Diff(want, id); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if got, want := id.String(), "ServiceAccount payments/payment-sa with role "+roleARN; got != want {
		t.Errorf("identity prints as %q, want %q", got, want)
	}
	b.wantKube(map[string]int{}) // the parameter roleArn needs no call
}

func TestD17_TokensMustBeAnObject(t *testing.T) {
	const secret = "secret-token-text"
	for _, text := range []string{
		secret, `"` + secret + `"`, `["` + secret + `"]`, `{"sts.amazonaws.com":"` + secret + `"}`, `{"sts.amazonaws.com":{"token":7,"x":"` + secret + `"}}`,
		`{"sts.amazonaws.com":{"token":"` + secret + `"}`, `{"sts.amazonaws.com":{"token":"` + secret + `"}}}`, " ", "7", "true", `{"a":["` + secret + `"]}`,
	} {
		tokens, err := auth.ParseTokens(text)
		if tokens != nil {
			t.Errorf("%q: tokens beside an error", text)
		}
		wantError(t, err, fault.Identity, "cannot read the pod's ServiceAccount tokens: they are not the JSON object that the kubelet writes")
		if strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
			t.Errorf("the error repeats the text: %v", err)
		}
	}
}

func TestD14_MissingToken(t *testing.T) {
	b := start(t, nil)
	const want = "cannot identify ServiceAccount payments/payment-sa to AWS: the CSI driver sent no token for audience sts.amazonaws.com " +
		"(add sts.amazonaws.com to tokenRequests of the CSIDriver object secrets-store.csi.k8s.io; the driver's Helm value is tokenRequests)"
	for _, text := range []string{
		"", "{}", "null", `{"sts.amazonaws.com":null}`, `{"sts.amazonaws.com":{}}`, `{"sts.amazonaws.com":{"token":""}}`, `{"sts.amazonaws.com":{"token":null}}`,
		`{"STS.amazonaws.com":{"token":"x"}}`, `{"pods.eks.amazonaws.com":{"token":"x"}}`,
	} {
		tokens, err := auth.ParseTokens(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		_, _, err = b.Identify(t.Context(), payment, tokens, auth.IdentityOptions{RoleARN: roleARN})
		wantError(t, err, fault.Identity, want)
	}
}

func TestF2_TokenMustBelongToPodAndBeValid(t *testing.T) {
	b := start(t, nil)
	const (
		cannot = "cannot identify ServiceAccount payments/payment-sa to AWS: "
		notJWT = cannot + "its token for audience sts.amazonaws.com is not a JWT: "
		own    = ", not to system:serviceaccount:payments:payment-sa (a pod can only use a token of its own ServiceAccount)"
		clock  = " (compare the node's clock with the API server's clock)"
	)
	of := func(change claims) string { return jwt(t, paymentClaims(change)) }
	for _, tt := range []struct{ name, token, want string }{
		{"valid", of(nil), ""},
		{"valid for one more second", of(claims{"exp": now.Unix() + 1}), ""},
		{"valid with a fraction", of(claims{"exp": float64(now.Unix()) + 1.5}), ""},
		{"valid forever", of(claims{"exp": 1e300}), ""},
		{"other ServiceAccount", of(claims{"sub": "system:serviceaccount:payments:other"}), cannot + `its token belongs to "system:serviceaccount:payments:other"` + own},
		{"other namespace", of(claims{"sub": "system:serviceaccount:other:payment-sa"}), cannot + `its token belongs to "system:serviceaccount:other:payment-sa"` + own},
		{"longer name", of(claims{"sub": "system:serviceaccount:payments:payment-sa-2"}), cannot + `its token belongs to "system:serviceaccount:payments:payment-sa-2"` + own},
		{"other case", of(claims{"sub": "system:serviceaccount:payments:Payment-SA"}), cannot + `its token belongs to "system:serviceaccount:payments:Payment-SA"` + own},
		{"a user", of(claims{"sub": "admin"}), cannot + `its token belongs to "admin"` + own},
		{"no subject", of(claims{"sub": nil}), cannot + `its token belongs to ""` + own},
		{"line breaks in the subject", of(claims{"sub": "a\nb\x1b[2J"}), cannot + `its token belongs to "a\nb\x1b[2J"` + own},
		{"expires now", of(claims{"exp": now.Unix()}), cannot + "its token expired at 2026-03-01T12:00:00Z" + clock},
		{"expired", of(claims{"exp": now.Add(-time.Hour).Unix()}), cannot + "its token expired at 2026-03-01T11:00:00Z" + clock},
		{"never valid", of(claims{"exp": -1e300}), cannot + "its token expired at 1970-01-01T00:00:00Z" + clock},
		{"no expiry", of(claims{"exp": nil}), cannot + "its token expired at 1970-01-01T00:00:00Z" + clock},
		{"not a JWT", "not-a-jwt", notJWT + "it does not have three parts"},
		{"two parts", "a.b", notJWT + "it does not have three parts"},
		{"five parts, like an encrypted token", "a.b.c.d.e", notJWT + "it does not have three parts"},
		{"claims not base64", "a.?.c", notJWT + "its claims are not base64url"},
		{"claims padded", "a.e30=.c", notJWT + "its claims are not base64url"},
		{"claims empty", "a..c", notJWT + "its claims are not the JSON of a ServiceAccount token"},
		{"claims not JSON", jwtOf("sub=system"), notJWT + "its claims are not the JSON of a ServiceAccount token"},
		{"claims not an object", jwtOf(`["a"]`), notJWT + "its claims are not the JSON of a ServiceAccount token"},
		{"expiry not a number", of(claims{"exp": "soon"}), notJWT + "its claims are not the JSON of a ServiceAccount token"},
		{"more than one object", jwtOf(`{} {}`), notJWT + "its claims are not the JSON of a ServiceAccount token"},
		{"longest", longToken(t, 20000), ""},
		{"too long", longToken(t, 20001), notJWT + "it is longer than 20000 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, _, err := b.Identify(t.Context(), payment, tokensOf(t, tt.token), auth.IdentityOptions{RoleARN: roleARN})
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, fault.Identity, tt.want)
			if id != (auth.Identity{}) {
				t.Errorf("identity %v beside an error", id)
			}
		})
	}
}

// longToken returns a valid token of length bytes.
func longToken(t *testing.T, length int) string {
	t.Helper()
	token := jwt(t, paymentClaims(nil))
	return token + strings.Repeat("s", length-len(token))
}

// A ServiceAccount that is deleted and created again is a new identity.
func TestF1_IdentityHasServiceAccountUID(t *testing.T) {
	b := start(t, nil)
	of := func(uid string) auth.Identity {
		id, _, err := b.Identify(t.Context(), payment, tokensOf(t, jwt(t, paymentClaims(claims{
			"kubernetes.io": claims{"serviceaccount": claims{"uid": uid}},
		}))), auth.IdentityOptions{RoleARN: roleARN})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if one, two := of("1"), of("2"); one == two || one.ServiceAccountUID != "1" {
		t.Errorf("identities %+v and %+v, want them to differ in the uid", one, two)
	}
	if one, again := of("1"), of("1"); one != again {
		t.Errorf("identities %+v and %+v, want them equal", one, again)
	}
}

// A token is never visible when it is printed, logged or marshalled, alone or inside another value.
func TestD18_TokensAreNeverPrinted(t *testing.T) {
	b := start(t, nil)
	raw := jwt(t, paymentClaims(nil))
	tokens := tokensOf(t, raw)
	_, token, err := b.Identify(t.Context(), payment, tokens, auth.IdentityOptions{RoleARN: roleARN})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{"token": token, "tokens": tokens, "pointer": &token, "in a struct": struct{ T auth.Token }{token}, "list": []auth.Token{token}} {
		shown := []string{}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			shown = append(shown, fmt.Sprintf(verb, v))
		}
		if marshalled, err := json.Marshal(v); err == nil {
			shown = append(shown, string(marshalled))
		}
		var logs bytes.Buffer
		slog.New(slog.NewTextHandler(&logs, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&logs, nil)).Info("x", "v", v)
		for _, s := range append(shown, logs.String()) {
			for _, part := range strings.Split(raw, ".") {
				if strings.Contains(s, part[:16]) || strings.Contains(s, fmt.Sprintf("%x", part[:16])) {
					t.Errorf("%s shows: %s", name, s)
				}
			}
		}
	}
}
