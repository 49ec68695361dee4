package awsapi

import "regexp"

// roleARNRE is the shape of an IAM role's ARN, of any partition and path
// (IAM User Guide, "IAM identifiers").
var roleARNRE = regexp.MustCompile(`^arn:[a-z0-9-]+:iam::[0-9]{12}:role/[\x21-\x7e]{1,576}$`)

// ValidRoleARN reports whether arn has the shape of an IAM role's ARN.
func ValidRoleARN(arn string) bool { return roleARNRE.MatchString(arn) }
