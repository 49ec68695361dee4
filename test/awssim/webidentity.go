// Web identity federation: AssumeRoleWithWebIdentity and token verification.
// Rules: STS API reference, AssumeRoleWithWebIdentity; IAM User Guide, "Create an
// OpenID Connect (OIDC) identity provider in IAM" and "Available keys for AWS
// OIDC federation"; OpenID Connect Discovery 1.0; RFC 7519.

package awssim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// tokenAlgorithms are the signing algorithms that IAM accepts.
var tokenAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512}

// tokenLeeway is how far the issuer's clock may be ahead.
const tokenLeeway = 5 * time.Minute

// webClaims are the claims of a projected ServiceAccount token.
type webClaims struct {
	Issuer     string           `json:"iss"`
	Subject    string           `json:"sub"`
	Audience   jwt.Audience     `json:"aud"`
	Expiry     *jwt.NumericDate `json:"exp"`
	NotBefore  *jwt.NumericDate `json:"nbf"`
	IssuedAt   *jwt.NumericDate `json:"iat"`
	Kubernetes struct {
		Namespace      string     `json:"namespace"`
		Pod            kubeObject `json:"pod"`
		ServiceAccount kubeObject `json:"serviceaccount"`
	} `json:"kubernetes.io"`
}

type kubeObject struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// assumeRoleWithWebIdentity is the operation AssumeRoleWithWebIdentity, which needs no signature.
func (s *Sim) assumeRoleWithWebIdentity(r *awsRequest) (any, *apiError) {
	token := r.form.Get("WebIdentityToken")
	var limits stsLimits
	limits.sensitive("webIdentityToken", len(token), 4, 20000)
	in, refused := s.readRoleRequest(r, &limits)
	if refused != nil {
		return nil, refused
	}
	role := roleARN.FindStringSubmatch(in.roleARN)
	claims, provider, refused := s.tokens.verify(r.Context(), token, s.now(), func(issuer string) *oidcProvider {
		return s.iam.provider(role[1], role[2], issuer)
	})
	if refused != nil {
		return nil, refused
	}
	audience, refused := provider.acceptedAudience(claims)
	if refused != nil {
		return nil, refused
	}
	in.keys.set(provider.name+":sub", claims.Subject)
	in.keys.set(provider.name+":aud", audience)

	// A missing role gives the same error as a role that does not trust the
	// token, so that the caller learns nothing.
	target := s.iam.role(in.roleARN)
	if target == nil || decideTrust(target.trust, "sts:AssumeRoleWithWebIdentity", func(ref principalRef) bool {
		return ref.kind == "*" || ref.kind == "Federated" && ref.value == provider.arn
	}, in.keys) != allow {
		return nil, &apiError{http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"}
	}
	c, refused := s.openSession(target, in.session, in.duration, nil, nil)
	if refused != nil {
		return nil, refused
	}
	s.log.update(r.logged, func(entry *Call) { entry.Principal = c.who.arn })
	return webIdentityResult{
		SubjectFromWebIdentityToken: claims.Subject,
		Audience:                    audience,
		AssumedRoleUser:             c.asUser(),
		Credentials:                 c.asXML(),
		Provider:                    provider.arn,
	}, nil
}

// acceptedAudience returns the token's audience that the provider accepts.
func (p *oidcProvider) acceptedAudience(claims *webClaims) (string, *apiError) {
	for _, audience := range claims.Audience {
		if slices.Contains(p.clientIDs, audience) {
			return audience, nil
		}
	}
	return "", invalidToken("Incorrect token audience")
}

// verify checks a token except for its audience: form, issuer, signature with a
// published key, and times.
func (v *tokenVerifier) verify(ctx context.Context, token string, now time.Time, find func(issuer string) *oidcProvider) (*webClaims, *oidcProvider, *apiError) {
	signed, err := jose.ParseSignedCompact(token, tokenAlgorithms)
	if err != nil {
		return nil, nil, invalidToken("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	var claims webClaims
	if err := unmarshalClaims(signed, &claims); err != nil || claims.Issuer == "" {
		return nil, nil, invalidToken("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	provider := find(claims.Issuer)
	if provider == nil {
		return nil, nil, invalidToken("No OpenIDConnect provider found in your account for " + claims.Issuer)
	}
	key, refused := v.key(ctx, provider, signed.Signatures[0].Header.KeyID)
	if refused != nil {
		return nil, nil, refused
	}
	if _, err := signed.Verify(key.Key); err != nil {
		return nil, nil, invalidToken("Invalid token signature")
	}
	return &claims, provider, claims.checkTimes(now)
}

// unmarshalClaims reads the claims of an unverified token. They tell which keys
// can verify it.
func unmarshalClaims(signed *jose.JSONWebSignature, into *webClaims) error {
	return json.Unmarshal(signed.UnsafePayloadWithoutVerification(), into)
}

// checkTimes checks exp, nbf and iat. IAM requires iss, sub, aud, exp and iat.
func (c *webClaims) checkTimes(now time.Time) *apiError {
	switch {
	case c.Subject == "" || len(c.Audience) == 0 || c.Expiry == nil || c.IssuedAt == nil:
		return invalidToken("Missing a required claim")
	case !now.Before(c.Expiry.Time()):
		return badRequest("ExpiredTokenException", "Token expired: current date/time %d must be before the expiration date/time %d",
			now.Unix(), c.Expiry.Time().Unix())
	case c.NotBefore != nil && c.NotBefore.Time().After(now.Add(tokenLeeway)), c.IssuedAt.Time().After(now.Add(tokenLeeway)):
		return invalidToken("Token is not yet valid")
	}
	return nil
}

func invalidToken(message string) *apiError {
	return badRequest("InvalidIdentityToken", "%s", message)
}

// noKey is the error if an issuer does not publish the token's key.
func noKey() *apiError {
	return invalidToken("Couldn't retrieve verification key from your identity provider, " +
		"please reference AssumeRoleWithWebIdentity documentation for requirements")
}

// noContact is the error if an issuer is unreachable.
func noContact(p *oidcProvider) *apiError {
	return badRequest("IDPCommunicationError", "Couldn't communicate with the identity provider %s", p.name)
}

// schemeless returns the issuer in IAM's form, for the provider's ARN and
// condition keys.
func schemeless(issuer string) (string, error) {
	for _, scheme := range []string{"https://", "http://"} {
		if name, ok := strings.CutPrefix(issuer, scheme); ok && name != "" {
			return name, nil
		}
	}
	return "", fmt.Errorf("the issuer must be a URL")
}
