package auth

import (
	"cmp"
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/internal/tracing"
)

const (
	// RoleAnnotation is the annotation that names the role of a ServiceAccount (EKS User Guide, "Assign IAM roles to Kubernetes service accounts").
	RoleAnnotation = "eks.amazonaws.com/role-arn"
	// regionLabel names the region of a node (Kubernetes, "Well-Known Labels").
	regionLabel = "topology.kubernetes.io/region"
)

// Both resources are read as metadata only. The API server then sends no spec and no status, and the
// binary needs no types of the Kubernetes API.
var (
	serviceAccounts = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	nodes           = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
)

// annotatedRole reads the role from the annotation of the pod's ServiceAccount.
func (a *Authenticator) annotatedRole(ctx context.Context, pod Pod) (string, error) {
	name := pod.Namespace + "/" + pod.ServiceAccount
	account, err := a.metadata(ctx, serviceAccounts, pod.Namespace, pod.ServiceAccount)
	if err != nil {
		return "", apiFault(err, "cannot read ServiceAccount "+name, "serviceaccounts",
			"or set the parameter roleArn of the SecretProviderClass, which needs no such permission")
	}
	role, annotated := account.Annotations[RoleAnnotation]
	switch {
	case !annotated || role == "":
		return "", &fault.Error{
			Kind: fault.Identity, What: "no IAM role for ServiceAccount " + name,
			Why:  "it has no annotation " + RoleAnnotation,
			Hint: fmt.Sprintf("kubectl annotate serviceaccount -n %s %s %s=ROLE_ARN, or set roleArn in the SecretProviderClass", pod.Namespace, pod.ServiceAccount, RoleAnnotation),
		}
	case !awsclient.ValidRoleARN(role):
		return "", &fault.Error{
			Kind: fault.Identity, What: "no usable IAM role for ServiceAccount " + name,
			Why:  "its annotation " + RoleAnnotation + " is " + fault.Quote(role) + ", which is not the ARN of an IAM role",
			Hint: "set it to an ARN such as arn:aws:iam::123456789012:role/payment-role",
		}
	}
	return role, nil
}

// NodeRegion returns the region in the node's label. A successful read is cached for the life of the process.
// If the Config has no NodeName, tokens name the node. Errors are *fault.Error.
func (a *Authenticator) NodeRegion(ctx context.Context, tokens Tokens) (string, error) {
	a.mu.Lock()
	region := a.nodeRegion
	a.mu.Unlock()
	if region != "" {
		return region, nil
	}
	region, err := a.readNodeRegion(ctx, cmp.Or(a.nodeName, tokens.Node()))
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.nodeRegion = region
	return region, nil
}

func (a *Authenticator) readNodeRegion(ctx context.Context, node string) (string, error) {
	const hint = "set the parameter region of the SecretProviderClass, or AWS_REGION of the provider"
	if node == "" {
		return "", &fault.Error{Kind: fault.Class, What: "no AWS region", Why: "neither the SecretProviderClass nor the provider sets one, and the provider does not know its node", Hint: hint + " or its --node-name"}
	}
	object, err := a.metadata(ctx, nodes, "", node)
	if err != nil {
		return "", apiFault(err, "no AWS region: cannot read node "+node, "nodes", "or "+hint)
	}
	region := object.Labels[regionLabel]
	if region == "" {
		return "", &fault.Error{Kind: fault.Class, What: "no AWS region", Why: "neither the SecretProviderClass nor the provider sets one, and node " + node + " has no label " + regionLabel, Hint: hint}
	}
	return region, nil
}

// metadata reads one object. The names come from requests and from unverified tokens, and the client puts them
// into the URL unescaped. A name that would change the URL's path is reported as not found.
func (a *Authenticator) metadata(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (_ *metav1.PartialObjectMetadata, err error) {
	ctx, span := tracing.StartCall(ctx, "Kubernetes.get")
	span.String("k8s.resource", resource.Resource)
	defer func() { span.End(apiOutcome(err), nil) }()
	for _, segment := range []string{namespace, name} {
		if len(content.IsPathSegmentName(segment)) > 0 {
			return nil, apierrors.NewNotFound(resource.GroupResource(), name)
		}
	}
	return a.kubernetes.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
}

// apiOutcome names the result of a call to the API server, for a trace: ok, or the reason of its status.
func apiOutcome(err error) string {
	if err == nil {
		return tracing.OK
	}
	return cmp.Or(string(apierrors.ReasonForError(err)), "none")
}

// apiFault explains a failed call to the API server.
func apiFault(err error, what, resource, otherwise string) error {
	e := &fault.Error{What: what, Cause: err}
	switch {
	case apierrors.IsNotFound(err):
		e.Kind, e.Why = fault.Identity, "it does not exist"
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		e.Kind, e.Why = fault.Identity, "the API server does not allow the provider to read it"
		e.Hint = "allow the provider's ServiceAccount to get " + resource + ", " + otherwise
	default:
		e.Kind, e.Why = fault.Transient, "the API server does not respond: "+err.Error()
	}
	return e
}
