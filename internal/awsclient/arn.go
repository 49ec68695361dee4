package awsclient

import (
	"regexp"
	"strings"
)

// roleARNRE is the shape of an IAM role's ARN, of any partition and path
// (IAM User Guide, "IAM identifiers").
var roleARNRE = regexp.MustCompile(`^arn:[a-z0-9-]+:iam::[0-9]{12}:role/[\x21-\x7e]+$`)

// maxRolePath is the most of a role's path and name together: 512 and 64 (IAM API reference, CreateRole). As a
// bound in the expression it would take 350 KiB.
const maxRolePath = 576

// A region becomes a part of host names, so only what can stand there may pass.
var regionRE = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidRegion reports whether region has the shape of an AWS region's name.
func ValidRegion(region string) bool { return regionRE.MatchString(region) }

// ValidRoleARN reports whether arn has the shape of an IAM role's ARN.
func ValidRoleARN(arn string) bool {
	_, path, _ := strings.Cut(arn, ":role/")
	return len(path) <= maxRolePath && roleARNRE.MatchString(arn)
}

// externalIDRE are the characters of an external id, 2 to 1224 of them (STS API reference, AssumeRole, ExternalId).
var externalIDRE = regexp.MustCompile(`^[\w+=,.@:/-]*$`)

// ValidExternalID reports whether STS takes id as an external id.
func ValidExternalID(id string) bool {
	return len(id) >= 2 && len(id) <= 1224 && externalIDRE.MatchString(id)
}
