// Package auth tells who a pod is and gets the credentials of its IAM role.
//
// The CSI driver hands over tokens that the API server signed for the pod's ServiceAccount.
// With web identity the role comes from the SecretProviderClass or from the ServiceAccount's
// annotation, and STS AssumeRoleWithWebIdentity exchanges the token for temporary credentials of
// the role. With EKS Pod Identity the agent on the node does, for the role that EKS has associated.
// From there STS AssumeRole can lead to one more role.
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
	"k8s.io/client-go/metadata"

	"secrets-provider-aws/internal/awsclient"
)

// Pod is the pod that a volume is mounted for, as the CSI driver names it.
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

// Mode is how a pod gets credentials.
type Mode int

// The modes. Web identity is the default.
const (
	WebIdentity Mode = iota // the token is exchanged by STS, for a role that trusts the cluster's issuer
	PodIdentity             // the token is exchanged by the EKS Pod Identity agent, for the associated role
)

// String is the mode as logs show it.
func (m Mode) String() string {
	if m == PodIdentity {
		return "pod-identity"
	}
	return "web-identity"
}

// Identity is who asks AWS: the only key under which anything may ever be shared. Two
// identities never share a credential or a value, whatever else of them is equal.
type Identity struct {
	Mode              Mode
	Namespace         string
	ServiceAccount    string
	ServiceAccountUID string // from the token, so that a ServiceAccount made anew is somebody else
	PodUID            string // only with PodIdentity, whose credentials carry the pod's name and uid as session tags
	RoleARN           string // the pod's own role; empty with PodIdentity, where the association decides
	AssumeRoleARN     string // the role that the pod's own then assumes; empty for none
	ExternalID        string // for AssumeRoleARN; empty for none
}

// Key is the identity as a text that no other identity has.
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

// ownRole names the first role in messages.
func (i Identity) ownRole() string {
	if i.Mode == PodIdentity {
		return "the role of its Pod Identity association"
	}
	return "role " + i.RoleARN
}

// IdentityOptions are what a SecretProviderClass says of the identity.
type IdentityOptions struct {
	PodIdentity   bool   // rather than web identity
	RoleARN       string // with web identity; empty: as the ServiceAccount is annotated
	AssumeRoleARN string // role to go on to; empty for none
	ExternalID    string // for AssumeRoleARN; empty for none
}

// Config is what New needs. AWS and Kubernetes are required.
type Config struct {
	AWS        aws.Config         // from awsclient.Load
	Kubernetes metadata.Interface // used for `get` on serviceaccounts and nodes, nothing else
	NodeName   string             // the node that the provider runs on; empty: as the pod's token names it
	Agent      Agent              // the EKS Pod Identity agent; zero: as EKS installs it
	Now        func() time.Time   // time.Now where nil
	Log        *slog.Logger       // gets lines at debug; nil for none
}

// Authenticator identifies pods. One serves the whole process.
type Authenticator struct {
	kubernetes metadata.Interface
	sts        *awsclient.Regional[*sts.Client]
	agent      *agent
	nodeName   string
	now        func() time.Time
	log        *slog.Logger
	sessions   *sessions
	roles      *roles

	mu         sync.Mutex
	nodeRegion string // once known; a node does not move
}

// New makes an Authenticator, or says what cfg lacks.
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
	}, nil
}

// Identify tells who pod is, with the token to get credentials for: the one for STS or, with Pod
// Identity, for EKS, checked against pod. The role is that of options or, where they name none, of the
// ServiceAccount's annotation; with Pod Identity the API server is not asked. Errors are *fault.Error.
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
