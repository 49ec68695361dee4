package auth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"secrets-provider-aws/internal/fault"
)

// Audiences of the tokens that AWS exchanges for credentials (EKS User Guide, "IAM roles for service accounts" and "EKS Pod Identity").
const (
	AudienceSTS = "sts.amazonaws.com"
	AudienceEKS = "pods.eks.amazonaws.com"
)

// maxToken is the limit of STS (AssumeRoleWithWebIdentity, WebIdentityToken).
const maxToken = 20000 // bytes

// Token is a projected ServiceAccount token. It prints and logs as [redacted].
type Token struct {
	raw    string
	claims claims
}

// Format prints [redacted] for every verb.
func (Token) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("[redacted]")) }

// LogValue logs [redacted].
func (Token) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// PodUID is the uid of the pod that the token is bound to. It is empty for the secrets-store-sync-controller, which
// requests tokens of a ServiceAccount without a pod.
func (t Token) PodUID() string { return t.claims.Kubernetes.Pod.UID }

// claims are the claims that this package reads. It does not verify the signature: STS and EKS do.
// Source: Kubernetes, "Managing Service Accounts", schema of service account private claims.
type claims struct {
	Issuer     string  `json:"iss"`
	Subject    string  `json:"sub"`
	Expires    float64 `json:"exp"` // seconds since 1970
	Kubernetes struct {
		Node struct {
			Name string `json:"name"`
		} `json:"node"`
		Pod struct {
			UID string `json:"uid"`
		} `json:"pod"`
		ServiceAccount struct {
			UID string `json:"uid"`
		} `json:"serviceaccount"`
	} `json:"kubernetes.io"`
}

// Tokens are the tokens of a mount request, by audience. They print and log as [redacted].
type Tokens map[string]Token

// Format prints [redacted] for every verb.
func (Tokens) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("[redacted]")) }

// LogValue logs [redacted].
func (Tokens) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// ParseTokens parses the text that the kubelet sends to a CSI driver: a JSON object, audience →
// {token, expirationTimestamp}. An empty text gives no tokens. Errors never contain the text.
// Source: Kubernetes CSI documentation, "CSIDriver Object", tokenRequests.
func ParseTokens(text string) (Tokens, error) {
	if text == "" {
		return nil, nil
	}
	var byAudience map[string]struct {
		Token string `json:"token"`
	}
	if json.Unmarshal([]byte(text), &byAudience) != nil {
		return nil, &fault.Error{Kind: fault.Identity, What: "cannot read the pod's ServiceAccount tokens", Why: "they are not the JSON object that the kubelet writes"}
	}
	tokens := make(Tokens, len(byAudience))
	for audience, t := range byAudience {
		tokens[audience] = Token{raw: t.Token}
	}
	return tokens, nil
}

// Node returns the name of the node in the pod's token, or an empty text: Kubernetes before 1.29
// writes none.
func (t Tokens) Node() string {
	for _, audience := range slices.Sorted(maps.Keys(t)) {
		if c, err := parseClaims(t[audience].raw); err == nil && c.Kubernetes.Node.Name != "" {
			return c.Kubernetes.Node.Name
		}
	}
	return ""
}

// forPod returns the token for an audience, if it belongs to pod and has not expired.
func (t Tokens) forPod(audience string, pod Pod, now time.Time) (Token, error) {
	refuse := func(why, hint string) (Token, error) {
		return Token{}, &fault.Error{
			Kind: fault.Identity,
			What: fmt.Sprintf("cannot identify ServiceAccount %s/%s to AWS", pod.Namespace, pod.ServiceAccount),
			Why:  why, Hint: hint,
		}
	}
	token, ok := t[audience]
	if !ok || token.raw == "" {
		return refuse("the CSI driver sent no token for audience "+audience,
			"add "+audience+" to tokenRequests of the CSIDriver object secrets-store.csi.k8s.io; the driver's Helm value is tokenRequests")
	}
	c, err := parseClaims(token.raw)
	if err != nil {
		return refuse("its token for audience "+audience+" is not a JWT: "+err.Error(), "")
	}
	if c.Subject != pod.subject() {
		return refuse("its token belongs to "+fault.Quote(c.Subject)+", not to "+pod.subject(), "a pod can only use a token of its own ServiceAccount")
	}
	// The bounds keep the conversion of a float64 to int64 defined.
	if expires := time.Unix(int64(min(max(c.Expires, 0), 1<<40)), 0); !now.Before(expires) {
		return refuse("its token expired at "+expires.UTC().Format(time.RFC3339), "compare the node's clock with the API server's clock")
	}
	token.claims = c
	if audience == AudienceEKS {
		return token, checkPodUID(pod, token)
	}
	return token, nil
}

// tokenError says why a token cannot be parsed. It never contains a part of the token.
type tokenError string

func (e tokenError) Error() string { return string(e) }

func parseClaims(raw string) (claims, error) {
	var c claims
	if len(raw) > maxToken {
		return c, tokenError("it is longer than 20000 bytes")
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return c, tokenError("it does not have three parts")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, tokenError("its claims are not base64url")
	}
	if json.Unmarshal(payload, &c) != nil {
		return c, tokenError("its claims are not the JSON of a ServiceAccount token")
	}
	return c, nil
}
