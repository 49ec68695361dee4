package auth

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"secrets-provider-aws/provider/fault"
)

// assumeRole goes on from own, the credentials of the pod's own role, to the role that id assumes. They
// last an hour, the most that STS gives in a chain (IAM User Guide, "Methods to assume a role").
// Errors are *fault.Error.
func (a *Authenticator) assumeRole(ctx context.Context, id Identity, own aws.Credentials, region string) (aws.Credentials, error) {
	in := &sts.AssumeRoleInput{RoleArn: aws.String(id.AssumeRoleARN), RoleSessionName: aws.String(sessionName(id))}
	if id.ExternalID != "" {
		in.ExternalId = aws.String(id.ExternalID)
	}
	out, err := a.sts.In(region).AssumeRole(ctx, in, func(o *sts.Options) {
		o.Credentials = credentials.StaticCredentialsProvider{Value: own}
	})
	what := fmt.Sprintf("ServiceAccount %s/%s cannot assume role %s from %s", id.Namespace, id.ServiceAccount, id.AssumeRoleARN, id.ownRole())
	if err != nil {
		return aws.Credentials{}, stsFault(err, what, region, chainHint(id))
	}
	return fromSTS(out.Credentials, what, region)
}

// chainHint says what to change in IAM so that the first role may assume the second. STS does not tell
// which of the two policies refuses. The session tags of EKS Pod Identity go along (they are transitive),
// which takes a permission of its own (EKS User Guide, "Grant Pods access based on tags").
func chainHint(id Identity) func(code, message string) string {
	actions := "sts:AssumeRole"
	if id.Mode == PodIdentity {
		actions += " and sts:TagSession"
	}
	return func(code, _ string) string {
		switch code {
		case "AccessDenied":
			condition := "; if that asks for sts:ExternalId, set externalId"
			if id.ExternalID != "" {
				condition = ", with sts:ExternalId = " + fault.Quote(id.ExternalID)
			}
			return fmt.Sprintf("allow %s on the role in a policy of the first role, and to the first role in the trust policy of the role%s", actions, condition)
		case "PackedPolicyTooLarge", "PackedPolicyTooLargeException":
			return "the session tags of EKS Pod Identity go along: they can be disabled in the association"
		}
		return ""
	}
}
