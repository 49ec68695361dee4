// Package auth identifies a pod and gets credentials for its IAM role.
//
// The CSI driver sends tokens that the API server signed for the pod's ServiceAccount. With web
// identity, the SecretProviderClass or the ServiceAccount's annotation names the role, and STS
// AssumeRoleWithWebIdentity exchanges the token for temporary credentials. With EKS Pod Identity, the
// agent on the node exchanges the token, and EKS knows the role from its association.
// In both modes STS AssumeRole can then switch to a second role.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/metadata"

	"secrets-provider-aws/internal/awsclient"
)

// Pod is the pod of a mount request, as the CSI driver names it.
type Pod struct {
	Namespace      string
	ServiceAccount string
	Name           string
	UID            string
}

// subject is the `sub` claim that the API server writes for the pod's ServiceAccount.
func (p Pod) subject() string {
	return "system:serviceaccount:" + p.Namespace + ":" + p.ServiceAccount
}

// Mode says how a pod gets credentials.
type Mode int

// Modes. Web identity is the default.
const (
	WebIdentity Mode = iota // STS exchanges the token, for a role that trusts the cluster's issuer
	PodIdentity             // the EKS Pod Identity agent exchanges the token, for the associated role
)

// String returns the mode as logs show it.
func (m Mode) String() string {
	if m == PodIdentity {
		return "pod-identity"
	}
	return "web-identity"
}

// Identity is the caller that AWS sees. Credentials and values are shared within one identity only:
// two identities that differ in any field share nothing.
type Identity struct {
	Mode              Mode
	Namespace         string
	ServiceAccount    string
	ServiceAccountUID string // from the token; a ServiceAccount that was deleted and created again is a new identity
	PodUID            string // PodIdentity only: its credentials carry the pod's name and uid as session tags
	RoleARN           string // the pod's own role; empty with PodIdentity, where the association names it
	AssumeRoleARN     string // second role, assumed with the pod's own; empty for none
	ExternalID        string // for AssumeRoleARN; empty for none
}

// Key returns a text that is unique to the identity.
func (i Identity) Key() string {
	return fmt.Sprintf("%d %q %q %q %q %q %q %q", i.Mode, i.Namespace, i.ServiceAccount, i.ServiceAccountUID, i.PodUID, i.RoleARN, i.AssumeRoleARN, i.ExternalID)
}

// String names the identity in messages and logs.
func (i Identity) String() string {
	text := fmt.Sprintf("ServiceAccount %s/%s with %s", i.Namespace, i.ServiceAccount, i.ownRole())
	if i.Mode == PodIdentity {
		text += " for pod " + i.PodUID
	}
	if i.AssumeRoleARN != "" {
		text += " and then role " + i.AssumeRoleARN
	}
	return text
}

// ownRole names the pod's own role in messages.
func (i Identity) ownRole() string {
	if i.Mode == PodIdentity {
		return "the role of its Pod Identity association"
	}
	return "role " + i.RoleARN
}

// IdentityOptions are the parameters of a SecretProviderClass that select the identity.
type IdentityOptions struct {
	PodIdentity   bool   // use PodIdentity, not WebIdentity
	RoleARN       string // for web identity; empty: the role in the ServiceAccount's annotation
	AssumeRoleARN string // second role; empty for none
	ExternalID    string // for AssumeRoleARN; empty for none
}

// Config is what New needs. AWS and Kubernetes are required.
type Config struct {
	AWS        aws.Config         // from awsclient.Load
	Kubernetes metadata.Interface // used only for `get` on serviceaccounts and nodes
	NodeName   string             // node of the provider; empty: the node in the pod's token
	Agent      Agent              // the EKS Pod Identity agent; zero: at the addresses that EKS uses
	Now        func() time.Time   // nil: time.Now
	Log        *slog.Logger       // for debug lines; nil: no log
}

// Authenticator identifies pods and gets their credentials. A process needs one.
type Authenticator struct {
	kubernetes metadata.Interface
	sts        *awsclient.Regional[*sts.Client]
	agent      *agent
	nodeName   string
	now        func() time.Time
	log        *slog.Logger
	sessions   *sessions
	roles      *roles
	metrics    *prometheus.CounterVec

	mu         sync.Mutex
	nodeRegion string // empty until read; a node does not change its region
}

// New returns an Authenticator, or an error that names what cfg lacks.
func New(cfg Config) (*Authenticator, error) {
	if cfg.Kubernetes == nil {
		return nil, errors.New("auth: no Kubernetes client")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	sessions, err := newSessions(cfg.Now)
	if err != nil {
		return nil, err
	}
	roles, err := newRoles(cfg.Now)
	if err != nil {
		return nil, err
	}
	return &Authenticator{
		kubernetes: cfg.Kubernetes,
		sts: awsclient.NewRegional(func(region string) *sts.Client {
			return sts.NewFromConfig(cfg.AWS, func(o *sts.Options) { o.Region = region })
		}),
		agent:    newAgent(cfg.Agent, cfg.AWS.Retryer, cfg.Now),
		nodeName: cfg.NodeName,
		now:      cfg.Now,
		log:      cfg.Log,
		sessions: sessions,
		roles:    roles,
		metrics:  newMetrics(),
	}, nil
}

// Identify returns the identity of pod and the token to exchange for credentials: the token for STS or,
// with Pod Identity, for EKS. It checks that the token belongs to pod. options name the role; if they do not,
// the ServiceAccount's annotation does. Pod Identity needs no call to the API server. Errors are *fault.Error.
func (a *Authenticator) Identify(ctx context.Context, pod Pod, tokens Tokens, options IdentityOptions) (Identity, Token, error) {
	id := Identity{
		Namespace: pod.Namespace, ServiceAccount: pod.ServiceAccount,
		AssumeRoleARN: options.AssumeRoleARN, ExternalID: options.ExternalID,
	}
	audience := AudienceSTS
	if options.PodIdentity {
		audience = AudienceEKS
	}
	token, err := tokens.forPod(audience, pod, a.now())
	if err != nil {
		return Identity{}, Token{}, err
	}
	id.ServiceAccountUID = token.claims.Kubernetes.ServiceAccount.UID
	roleFrom := "annotation"
	switch {
	case options.PodIdentity:
		id.Mode, id.PodUID, roleFrom = PodIdentity, pod.UID, "association"
	case options.RoleARN != "":
		id.RoleARN, roleFrom = options.RoleARN, "parameter"
	default:
		id.RoleARN, err = a.role(ctx, pod)
	}
	if err != nil {
		return Identity{}, Token{}, err
	}
	if a.log.Enabled(ctx, slog.LevelDebug) {
		a.log.LogAttrs(ctx, slog.LevelDebug, "identity", slog.String("mode", id.Mode.String()), slog.String("role", id.RoleARN),
			slog.String("role_from", roleFrom), slog.String("assumed_role", id.AssumeRoleARN), slog.String("service_account_uid", id.ServiceAccountUID))
	}
	return id, token, nil
}
