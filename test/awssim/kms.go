// KMS keys of secrets and parameters. The simulator has no KMS. It checks only
// whether the caller may decrypt.
//
// Sources: Systems Manager User Guide "Restricting access to Parameter Store
// parameters using IAM policies" ("The default AWS KMS key has Decrypt permission
// for all IAM principals within the AWS account"), and "Secret encryption and
// decryption in AWS Secrets Manager" (the same for aws/secretsmanager). The texts
// of the two denials are recorded from the live services
// (hashicorp/terraform-provider-aws issue 42849, external-secrets issue 390).

package awssim

import (
	"fmt"
	"regexp"
)

const (
	parameterKey = "alias/aws/ssm"            // default key of a SecureString
	secretKey    = "alias/aws/secretsmanager" // default key of a secret
)

var (
	kmsKeyARN = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)
	kmsKeyID  = regexp.MustCompile(`^(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)
)

// customerKey returns the ARN of a customer managed key: the ARN itself, or the
// ARN of a key id. It returns "" for the service's own key, which every caller in
// the account may use. Aliases of other keys are not known to the simulator.
func customerKey(keyID, own, region, account string) (arn string, known bool) {
	switch {
	case keyID == "" || keyID == own:
		return "", true
	case kmsKeyARN.MatchString(keyID):
		return keyID, true
	case kmsKeyID.MatchString(keyID):
		return fmt.Sprintf("arn:%s:kms:%s:%s:key/%s", regionPartition(region), region, account, keyID), true
	}
	return "", false
}

// mayDecrypt checks kms:Decrypt on a customer managed key; "" = the service's own.
func mayDecrypt(c *call, keyARN string) *apiError {
	if keyARN == "" {
		return nil
	}
	return c.Allowed("kms:Decrypt", keyARN)
}
