// Package auth tells who a pod is and gets the credentials of its IAM role.
//
// The CSI driver hands over tokens that the API server signed for the pod's ServiceAccount.
// The role comes from the SecretProviderClass or from the ServiceAccount's annotation, and
// STS AssumeRoleWithWebIdentity exchanges the token for temporary credentials of the role.
package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"k8s.io/client-go/metadata"

	"secrets-provider-aws/provider/awsapi"
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

// Identity is who asks AWS: the only key under which anything may ever be shared. Two
// identities never share a credential or a value, whatever else of them is equal.
type Identity struct {
	Namespace         string
	ServiceAccount    string
	ServiceAccountUID string // from the token, so that a ServiceAccount made anew is somebody else
	RoleARN           string
}

// Key is the identity as a text that no other identity has.
func (i Identity) Key() string {
	return fmt.Sprintf("%q %q %q %q", i.Namespace, i.ServiceAccount, i.ServiceAccountUID, i.RoleARN)
}

// String names the identity in messages and logs.
func (i Identity) String() string {
	return fmt.Sprintf("ServiceAccount %s/%s with role %s", i.Namespace, i.ServiceAccount, i.RoleARN)
}

// Config is what New needs. All fields but NodeName and Now are required.
type Config struct {
	AWS        aws.Config         // from awsapi.Load
	Kubernetes metadata.Interface // used for `get` on serviceaccounts and nodes, nothing else
	NodeName   string             // the node that the provider runs on; empty: as the pod's token names it
	Now        func() time.Time   // time.Now where nil
}

// Authenticator identifies pods. One serves the whole process.
type Authenticator struct {
	kubernetes metadata.Interface
	sts        *awsapi.Regional[*sts.Client]
	nodeName   string
	now        func() time.Time
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
		sts: awsapi.NewRegional(func(region string) *sts.Client {
			return sts.NewFromConfig(cfg.AWS, func(o *sts.Options) { o.Region = region })
		}),
		nodeName: cfg.NodeName,
		now:      cfg.Now,
		sessions: sessions,
		roles:    roles,
	}, nil
}

// Identify tells who pod is: its token for STS is checked against pod, and the role is
// roleARN or, where that is empty, the ServiceAccount's annotation. Errors are *fault.Error.
func (a *Authenticator) Identify(ctx context.Context, pod Pod, tokens Tokens, roleARN string) (Identity, Token, error) {
	token, err := tokens.forPod(audienceSTS, pod, a.now())
	if err != nil {
		return Identity{}, Token{}, err
	}
	if roleARN == "" {
		if roleARN, err = a.role(ctx, pod); err != nil {
			return Identity{}, Token{}, err
		}
	}
	return Identity{
		Namespace: pod.Namespace, ServiceAccount: pod.ServiceAccount,
		ServiceAccountUID: token.claims.Kubernetes.ServiceAccount.UID, RoleARN: roleARN,
	}, token, nil
}
