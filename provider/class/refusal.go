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

// maxSecretName is the maximum length of a secret's name. As a limit in secretNameRE it would need 300 KiB.
const maxSecretName = 512

// The length of a VersionId (Secrets Manager API reference, GetSecretValue).
const (
	minVersionID = 32
	maxVersionID = 64
)

// warnOfRefusal warns about names and versions that AWS will refuse. It does not refuse them itself, because AWS may
// change its rules.
func (e *entry) warnOfRefusal(kind Type, r *report) {
	name := e.name.text
	if e.selects() {
		name = strings.TrimRight(name, "*")
	}
	if kind == SSMParameter && e.selects() {
		name = strings.TrimSuffix(name, "/")
	}
	odd := func(format string, args ...any) {
		r.odd(e.field+".objectName", e.name.at, "%s "+format, append([]any{fault.Quote(name)}, args...)...)
	}
	version := e.version.text
	if kind == SecretsManager && version != "" && (len(version) < minVersionID || len(version) > maxVersionID) {
		r.odd(e.field+".objectVersion", e.version.at, "%s is not the VersionId of a secret, which has %d to %d characters: list them with aws secretsmanager describe-secret", fault.Quote(version), minVersionID, maxVersionID)
	}
	switch {
	case name == "" || strings.HasPrefix(name, "arn:"):
	case kind == SecretsManager && (len(name) > maxSecretName || !secretNameRE.MatchString(name)):
		odd("is not a valid secret name: use at most %d letters, digits and /_+=.@!-", maxSecretName)
	case kind == SSMParameter && !parameterNameRE.MatchString(name):
		odd("is not a valid parameter name: use letters, digits and _.-/")
	case kind == SSMParameter && strings.Contains(name, "/") && !strings.HasPrefix(name, "/"):
		odd("is not a valid parameter name: a name with slashes starts with a slash, write /%s", name)
	}
}
