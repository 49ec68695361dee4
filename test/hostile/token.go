package main

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// attackTokens spoils who asks.
func attackTokens(s *source, m *mount) {
	good := s.w.tenants[m.tenant].good
	set := func(text string) { m.tokens[audience] = token(text) }
	switch s.IntN(12) {
	case 0, 1: // signed, and of no use
		set(s.pick(s.w.tenants[m.tenant].wrong...))
	case 2: // another's
		set(s.w.tenants[s.IntN(tenants)].good)
	case 3, 4: // claims of our own that name the pod, which only STS can tell
		m.account = s.pick(m.account, "bare-sa", "odd-sa", fmt.Sprintf("sa-%d", s.number))
		set(s.forged(m.account))
	case 5:
		head, rest, _ := strings.Cut(good, ".")
		payload, signature, _ := strings.Cut(rest, ".")
		set(s.pick(head+"."+s.mutateBase64(payload)+"."+signature, s.mutateBase64(head)+"."+rest, head+"."+payload+"."+s.mutateBase64(signature)))
	case 6:
		set(marker + strings.Repeat(s.pick(".", "x", "é", "..", "a."), s.IntN(1000)) + marker)
	case 7:
		set(good + s.pick(".", ".x", " ", "\n", "\x00"))
	case 8:
		m.tokenText = s.pick("null", "[]", "{}", "7", `"x"`, `{"`+audience+`":"`+good+`"}`, `{"`+audience+`":{"token":7}}`, `{"`+audience+`":null}`, marker, "{"+marker)
	case 9:
		m.tokens = map[string]any{s.pick(agentsTokens, "", "api", strings.Repeat("x", 5000)): token(good)}
	case 10:
		for i := range s.IntN(300) {
			m.tokens[fmt.Sprintf("audience-%d", i)] = token(good)
		}
	default:
		m.inSecrets = true
		m.tokenText = strings.Repeat(`{"a":`, 1+s.IntN(20_000)) + marker
	}
}

// mutateBase64 changes a letter or two for others of the alphabet, so that the token stays one.
func (s *source) mutateBase64(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := []byte(text)
	for range 1 + s.IntN(2) {
		b[s.IntN(len(b))] = alphabet[s.IntN(len(alphabet))]
	}
	return string(b)
}

// forged is a token whose claims are right or odd, and that nobody has signed.
func (s *source) forged(account string) string {
	claims := fmt.Sprintf(`{"iss":%q,"aud":[%q],"sub":"system:serviceaccount:%s:%s","exp":%s,"nbf":1,"jti":%q,"kubernetes.io":{"serviceaccount":{"uid":"u-%d"},"pod":{"uid":"p"},"node":{"name":%q}}%s}`,
		s.w.issuer.URL(), audience, namespace, account, s.pick("4102444800", "4102444800.5", "1e12", "1e300", "9999999999999999999"), marker, s.IntN(1000),
		s.pick("node-1", "", "../../x", "é"), s.pick("", `,"sub":"x"`, `,"SUB":"x"`, `,"a":`+strings.Repeat("[", 50)+strings.Repeat("]", 50), `,"pad":"`+strings.Repeat("x", s.IntN(15_000))+`"`))
	if s.IntN(5) == 0 {
		claims = s.mutate(claims)
	}
	header := s.pick(`{"alg":"RS256","kid":"x"}`, `{"alg":"none"}`, `{"alg":"HS256"}`, "")
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + base64.RawURLEncoding.EncodeToString([]byte(marker))
}
