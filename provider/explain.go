package provider

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"secrets-provider-aws/internal/fault"
)

// This file holds the messages of failures: what failed, why, and what to do.

// noValue is a response without a value in it.
func noValue(what, region string) error {
	return &fault.Error{
		Kind: fault.Transient, What: what, Region: region,
		Why: "the response holds no value: is a proxy in between?",
	}
}

// readFault explains a read that AWS refused.
func readFault(err error, what, region, action string) error {
	e := fault.FromAWS(err, what, region)
	switch {
	case e.Kind == fault.Denied && aboutKey(e.Message), e.Code == "DecryptionFailure", strings.HasPrefix(e.Code, "KMS"):
		e.Hint = "allow the pod's role kms:Decrypt on the key that encrypts it, in a policy of the role and in the key policy"
	case e.Kind == fault.Denied && strings.Contains(e.Message, "explicit deny"):
		e.Hint = "a policy denies it explicitly: remove that Deny, because no Allow overrides it"
	case e.Kind == fault.Denied:
		e.Hint = "allow " + action + " on it in a policy of the pod's role"
	case strings.Contains(e.Message, "marked for deletion"): // AWS calls it an invalid request
		e.Kind = fault.NotFound
		e.Hint = "the secret is deleted: restore it with restore-secret within its recovery window, or leave it out"
	case e.Kind == fault.NotFound && strings.Contains(e.Message, "secret value for"):
		e.Hint = "the secret exists; check its versions and staging labels with describe-secret"
	case e.Kind == fault.NotFound:
		e.Hint = "check the name, the region and the account; names are case-sensitive"
	case e.Kind == fault.Rejected && strings.Contains(e.Message, "'versionId'"):
		e.Hint = "set objectVersion to a VersionId that describe-secret shows, not to a number"
	default:
		e.HintRetry()
	}
	return e
}

// aboutKey reports whether a denial is of the KMS key and not of the object. Parameter Store passes on KMS's own text,
// which calls the key a customer master key.
func aboutKey(message string) bool {
	message = strings.ToLower(message)
	return strings.Contains(message, "kms") || strings.Contains(message, "customer master key")
}

// whatTogether names the objects of a call that failed as a whole: AWS's own message names the one it refused.
func whatTogether(objects []object) string {
	what := objects[0].what()
	if len(objects) > 1 {
		what += fmt.Sprintf(" and %d more with it", len(objects)-1)
	}
	return what
}

// inFailover marks a failure as the failover region's, unless the primary region's is the same: the
// credentials for both come from one place.
func inFailover(err error, region string, primary []error) error {
	e := (*fault.Error)(nil)
	same := func(other error) bool { return other.Error() == err.Error() }
	if !errors.As(err, &e) || e.Region != region || slices.ContainsFunc(primary, same) {
		return err
	}
	marked := *e
	marked.Failover = true
	return &marked
}
