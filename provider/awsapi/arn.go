package awsapi

import "regexp"

// roleARNRE is the shape of an IAM role's ARN, of any partition and path
// (IAM User Guide, "IAM identifiers").
var roleARNRE = regexp.MustCompile(`^arn:[a-z0-9-]+:iam::[0-9]{12}:role/[\x21-\x7e]{1,576}$`)

// ValidRoleARN reports whether arn has the shape of an IAM role's ARN.
func ValidRoleARN(arn string) bool { return roleARNRE.MatchString(arn) }

// externalIDRE are the characters of an external id (STS API reference, AssumeRole, ExternalId).
var externalIDRE = regexp.MustCompile(`^[\w+=,.@:/-]*$`)

// ValidExternalID reports whether STS takes id as an external id.
func ValidExternalID(id string) bool {
	return len(id) >= 2 && len(id) <= 1224 && externalIDRE.MatchString(id)
}
