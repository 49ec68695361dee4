// The EKS Pod Identity agent. Rules: EKS User Guide, "Learn how EKS Pod Identity
// works" (transitive session tags, trust policy); EKS Auth API reference,
// AssumeRoleForPodIdentity (errors and their statuses). Responses and the plain
// text of errors are those of aws/eks-pod-identity-agent (pkg/handlers,
// pkg/errors, internal/validation).

package awssim

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

const (
	podIdentityPath      = "/v1/credentials"
	podIdentityOperation = "GetCredentials"
	podIdentityAudience  = "pods.eks.amazonaws.com"
	podIdentitySession   = 6 * time.Hour
)

// podCredentials is the agent's response.
type podCredentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	AccountID       string `json:"AccountId"`
	Expiration      string
}

// servePodIdentity handles requests on the agent's listener.
func (s *Sim) servePodIdentity(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != podIdentityPath {
		http.NotFound(w, r)
		return
	}
	// The agent checks the token's form before it calls EKS Auth, which
	// verifies the token.
	token := r.Header.Get("Authorization")
	claims, rejected := peekToken(token, s.now())
	object := ""
	if claims != nil {
		object = claims.Kubernetes.Namespace + "/" + claims.Kubernetes.ServiceAccount.Name
	}
	injected := s.faults.take(servicePodIdentity, podIdentityOperation, "", []string{object})
	logged := s.log.begin(Call{
		Service: servicePodIdentity, Operation: podIdentityOperation, Object: object, UserAgent: r.UserAgent(),
	})
	refused := s.misbehave(r.Context(), servicePodIdentity, injected)
	if refused == nil && rejected != "" {
		s.finish(logged, &apiError{Status: http.StatusBadRequest, Code: "InvalidRequest"})
		http.Error(w, rejected, http.StatusBadRequest)
		return
	}
	if refused == nil {
		refused = s.quotas.take(s.now(), servicePodIdentity, podIdentityOperation, "")
	}
	var c *credential
	if refused == nil {
		c, refused = s.assumeRoleForPod(r.Context(), token)
	}
	s.finish(logged, refused)
	if refused != nil {
		fault := "client"
		if refused.Status >= 500 {
			fault = "server"
		}
		http.Error(w, fmt.Sprintf("[%s]: (%s): %s, fault: %s", newRequestID(), refused.Code, refused.Message, fault), refused.Status)
		return
	}
	s.log.update(logged, func(entry *Call) { entry.Principal = c.who.arn })
	writeJSON(w, http.StatusOK, podCredentials{
		AccessKeyID: c.accessKeyID, SecretAccessKey: c.secret, Token: c.token,
		AccountID: c.who.account, Expiration: c.expires.UTC().Format(time.RFC3339Nano),
	})
}

// peekToken runs the agent's own checks without verification. If one fails,
// rejected is the agent's error text.
func peekToken(token string, now time.Time) (claims *webClaims, rejected string) {
	if token == "" {
		return nil, "Service account token cannot be empty"
	}
	signed, err := jose.ParseSignedCompact(token, tokenAlgorithms)
	if err == nil {
		claims = new(webClaims)
		err = unmarshalClaims(signed, claims)
	}
	switch {
	case err != nil:
		return nil, "Service account token cannot be parsed: token is malformed"
	case claims.Expiry != nil && !now.Before(claims.Expiry.Time()):
		return claims, "Service account token failed basic claim validations: token has invalid claims: token is expired"
	}
	return claims, ""
}

// assumeRoleForPod is EKS Auth: it verifies the token, finds the association and
// opens a session with the pod's tags.
func (s *Sim) assumeRoleForPod(ctx context.Context, token string) (*credential, *apiError) {
	claims, _, refused := s.tokens.verify(ctx, token, s.now(), func(issuer string) *oidcProvider {
		return s.iam.provider("aws", s.account, issuer)
	})
	if refused != nil {
		if refused.Code == "ExpiredTokenException" {
			return nil, refused
		}
		return nil, badRequest("InvalidTokenException", "The token included in the request is invalid: %s", refused.Message)
	}
	if !slices.Contains(claims.Audience, podIdentityAudience) {
		return nil, badRequest("InvalidTokenException", "The token included in the request has no audience %s", podIdentityAudience)
	}
	pod, account := claims.Kubernetes.Pod, claims.Kubernetes.ServiceAccount
	if pod.Name == "" || pod.UID == "" || account.Name == "" {
		return nil, badRequest("InvalidTokenException", "The token included in the request is not bound to a pod")
	}
	a, ok := s.iam.association(subject{claims.Kubernetes.Namespace, account.Name})
	if !ok {
		return nil, &apiError{http.StatusNotFound, "ResourceNotFoundException", fmt.Sprintf(
			"No association found for the service account %s/%s", claims.Kubernetes.Namespace, account.Name)}
	}
	return s.openPodSession(a, claims)
}

func (s *Sim) openPodSession(a PodIdentityAssociation, claims *webClaims) (*credential, *apiError) {
	k := claims.Kubernetes
	tags := map[string]string{
		"eks-cluster-name":           a.ClusterName,
		"kubernetes-namespace":       k.Namespace,
		"kubernetes-service-account": k.ServiceAccount.Name,
		"kubernetes-pod-name":        k.Pod.Name,
		"kubernetes-pod-uid":         k.Pod.UID,
	}
	session := fmt.Sprintf("eks-%s-%s-%s", a.ClusterName, k.Pod.Name, newRequestID())
	session = session[:min(len(session), 64)]
	keys := requestContext(principal{}, "", true)
	keys.set("sts:RoleSessionName", session)
	keys.addTags(tags)
	r := s.iam.role(a.RoleARN)
	for _, action := range []string{"sts:AssumeRole", "sts:TagSession"} {
		if r == nil || decideTrust(r.trust, action, func(ref principalRef) bool {
			return ref.kind == "*" || ref.kind == "Service" && ref.value == podIdentityAudience
		}, keys) != allow {
			return nil, badRequest("AccessDeniedException", "Unauthorized Exception! EKS does not have permissions to assume the associated role.")
		}
	}
	who := r.sessionPrincipal(session, tags)
	who.transitive = tags
	return s.credentials.issue(who, s.now().Add(podIdentitySession)), nil
}
