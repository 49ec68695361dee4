package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"secrets-provider-aws/internal/fault"
)

// webIdentity exchanges token for temporary credentials of the role of id, with STS in region.
// Errors are *fault.Error.
func (a *Authenticator) webIdentity(ctx context.Context, id Identity, token Token, region string) (aws.Credentials, error) {
	out, err := a.sts.In(region).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn:          aws.String(id.RoleARN),
		RoleSessionName:  aws.String(sessionName(id)),
		WebIdentityToken: aws.String(token.raw),
	})
	if err != nil {
		return aws.Credentials{}, stsFault(err, webIdentityWhat(id), region, webIdentityHint(token))
	}
	return fromSTS(out.Credentials, webIdentityWhat(id), region)
}

// fromSTS converts the credentials in a response of STS.
func fromSTS(c *types.Credentials, what, region string) (aws.Credentials, error) {
	if c == nil {
		return aws.Credentials{}, &fault.Error{Kind: fault.Transient, What: what, Region: region, Why: "the response of STS has no credentials"}
	}
	return aws.Credentials{
		AccessKeyID: aws.ToString(c.AccessKeyId), SecretAccessKey: aws.ToString(c.SecretAccessKey), SessionToken: aws.ToString(c.SessionToken),
		CanExpire: true, Expires: aws.ToTime(c.Expiration),
	}, nil
}

// webIdentityWhat names the failed operation in messages.
func webIdentityWhat(id Identity) string {
	return fmt.Sprintf("ServiceAccount %s/%s cannot assume role %s", id.Namespace, id.ServiceAccount, id.RoleARN)
}

// stsFault explains a failure of AssumeRoleWithWebIdentity or AssumeRole. hint covers the codes of one of the two.
func stsFault(err error, what, region string, hint func(code, message string) string) error {
	e := fault.FromAWS(err, what, region)
	if e.Kind != fault.Transient {
		e.Kind = fault.Credentials
	}
	e.Hint = hint(e.Code, e.Message)
	switch {
	case e.Hint != "":
	case e.Code == "RegionDisabledException":
		e.Hint = "activate STS in this region in the role's account"
	default:
		e.HintRetry()
	}
	return e
}

// webIdentityHint says what to change in IAM so that STS accepts the token.
func webIdentityHint(token Token) func(code, message string) string {
	issuer := strings.TrimPrefix(token.claims.Issuer, "https://")
	return func(code, message string) string {
		switch code {
		case "AccessDenied":
			return fmt.Sprintf("check that the role exists and that its trust policy allows sts:AssumeRoleWithWebIdentity to the OIDC provider %s with sub = %s and aud = %s",
				issuer, token.claims.Subject, AudienceSTS)
		case "InvalidIdentityToken":
			if strings.Contains(message, "verification key") {
				return "the issuer " + issuer + " does not publish the key that signed the token; compare its JWKS with the API server's"
			}
			return fmt.Sprintf("register the cluster's issuer %s as an IAM OIDC provider in the role's account, with audience %s", issuer, AudienceSTS)
		case "ExpiredTokenException":
			return "compare the node's clock with the clock of AWS"
		case "IDPCommunicationError":
			return "check that AWS can reach the JWKS of the cluster's issuer " + issuer
		}
		return ""
	}
}

// maxSessionName is the limit of STS (AssumeRoleWithWebIdentity, RoleSessionName).
const maxSessionName = 64

// sessionName returns <namespace>-<ServiceAccount>, which CloudTrail shows as the user. A longer name is cut
// and ends in a hash of both, so that two workloads keep different names.
func sessionName(id Identity) string {
	name := id.Namespace + "-" + id.ServiceAccount
	if len(name) <= maxSessionName {
		return name
	}
	sum := sha256.Sum256([]byte(id.Namespace + "/" + id.ServiceAccount))
	tail := "-" + hex.EncodeToString(sum[:4])
	return name[:maxSessionName-len(tail)] + tail
}
