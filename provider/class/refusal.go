package class

import (
	"regexp"
	"strings"

	"secrets-provider-aws/internal/fault"
)

var (
	// secretNameRE: Secrets Manager API reference, CreateSecret, Name.
	secretNameRE = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]+$`)
	// parameterNameRE: Systems Manager API reference, PutParameter, Name.
	parameterNameRE = regexp.MustCompile(`^[A-Za-z0-9_.:/-]+$`)
)

// maxSecretName is the length of a secret's name at most. As a bound in the expression it would take 300 KiB.
const maxSecretName = 512

// The length of a VersionId (Secrets Manager API reference, GetSecretValue).
const (
	minVersionID = 32
	maxVersionID = 64
)

// warnOfRefusal says of an object what AWS will not take. That is only a warning, as AWS has the last word on what its
// names look like.
func (e *entry) warnOfRefusal(kind Type, r *report) {
	name := e.name.text
	odd := func(format string, args ...any) {
		r.odd(e.field+".objectName", e.name.at, "%s "+format, append([]any{fault.Quote(name)}, args...)...)
	}
	version := e.version.text
	if kind == SecretsManager && version != "" && (len(version) < minVersionID || len(version) > maxVersionID) {
		r.odd(e.field+".objectVersion", e.version.at, "%s is not the VersionId of a secret, of %d to %d characters: describe-secret shows them", fault.Quote(version), minVersionID, maxVersionID)
	}
	switch {
	case name == "" || strings.HasPrefix(name, "arn:"):
	case kind == SecretsManager && (len(name) > maxSecretName || !secretNameRE.MatchString(name)):
		odd("cannot be the name of a secret: it takes at most %d letters, digits and /_+=.@!-", maxSecretName)
	case kind == SSMParameter && !parameterNameRE.MatchString(name):
		odd("cannot be the name of a parameter: it takes letters, digits and _.-/")
	case kind == SSMParameter && strings.Contains(name, "/") && !strings.HasPrefix(name, "/"):
		odd("cannot be the name of a parameter: one with slashes begins with one, /%s", name)
	}
}
