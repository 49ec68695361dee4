package auth

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"secrets-provider-aws/internal/fault"
)

// assumeRole assumes the second role of id with own, the credentials of the pod's own role. The result
// lasts one hour, the maximum for role chaining (IAM User Guide, "Methods to assume a role").
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

// chainHint says what to change in IAM so that the first role may assume the second. STS does not say
// which of the two policies denies it. The session tags of EKS Pod Identity are transitive and need their
// own permission, sts:TagSession (EKS User Guide, "Grant Pods access based on tags").
func chainHint(id Identity) func(code, message string) string {
	actions := "sts:AssumeRole"
	first, second := roleName(id.RoleARN), roleName(id.AssumeRoleARN)
	if id.Mode == PodIdentity {
		actions += " and sts:TagSession"
		first = "the associated role"
	}
	condition := "; if that policy requires sts:ExternalId, set externalId"
	if id.ExternalID != "" {
		condition = " with sts:ExternalId = " + fault.Quote(id.ExternalID)
	}
	return func(code, _ string) string {
		switch code {
		case "AccessDenied":
			return fmt.Sprintf("check that %s exists, that a policy of %s allows %s on it, and that the trust policy of %s allows the same to %s%s", second, first, actions, second, first, condition)
		case "PackedPolicyTooLarge", "PackedPolicyTooLargeException":
			return "the session tags of EKS Pod Identity count towards the size: disable them in the association"
		}
		return ""
	}
}

// roleName returns the last part of a role's ARN, for messages that have already named the ARN.
func roleName(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
