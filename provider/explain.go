package provider

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/document"
	"secrets-provider-aws/provider/jmespath"
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

// cannotWrite names the file, or the pattern of the files, and the object.
func cannotWrite(o class.Object, spec class.FileSpec) string {
	files := "file "
	if spec.Pattern {
		files = "files "
	}
	return "cannot write " + files + fault.Quote(spec.Path) + " from " + o.Type.Noun() + " " + fault.Quote(o.Name)
}

// extractionFault says why a jmesPath gave no file. It names the path and never what the value holds.
func extractionFault(o class.Object, spec class.FileSpec, err error) error {
	e := &fault.Error{
		Kind:  fault.Content,
		What:  cannotWrite(o, spec),
		Cause: err,
	}
	expression := "jmesPath " + fault.Quote(spec.Expression)
	switch {
	case errors.Is(err, jmespath.ErrNotJSON):
		e.Why = "the value is not JSON, so " + expression + " cannot select from it"
		e.Hint = "store JSON, or leave jmesPath out"
	case errors.Is(err, jmespath.ErrNoResult):
		e.Kind = fault.NotFound
		e.Why = expression + " selects nothing, or null"
		e.Hint = "compare it with the keys of the value; a key with a dash or a dot needs double quotes"
	case errors.Is(err, jmespath.ErrResultTooLarge):
		e.Why = expression + " gives more than one volume can hold"
	default: // the reason names types, never a value
		e.Why = expression + " cannot be evaluated: " + err.Error()
	}
	return e
}

// maxKeys is the most keys of one value. The largest secret holds fewer, unless their names are shorter than its writer can use.
const maxKeys = 10_000

// documentFault says why a value does not fit the format or encoding of a file. It names keys and never what they hold.
func documentFault(o class.Object, spec class.FileSpec, err error) error {
	e := &fault.Error{
		Kind:  fault.Content,
		What:  cannotWrite(o, spec),
		Why:   err.Error(),
		Cause: err,
	}
	if spec.Expression != "" {
		e.Why = "of the result of jmesPath " + fault.Quote(spec.Expression) + ", " + e.Why
	}
	switch {
	case errors.Is(err, document.ErrNotJSON):
		e.Hint = fmt.Sprintf("store JSON, or leave format: %s out", spec.Format)
	case spec.Format == document.Env:
		e.Hint = "rename the key, or use format: properties, yaml or json"
	case spec.Encoding != "":
		e.Hint = "correct the value, or leave objectEncoding out"
	}
	return e
}

// fileFaults says of each value why it does not fit its file.
func fileFaults(bad []badValue) error {
	errs := make([]error, len(bad))
	for i, b := range bad {
		var selector *selectorError
		var collision *collisionError
		switch {
		case errors.As(b.err, &selector):
			errs[i] = extractionFault(b.object, b.spec, selector.error)
		case errors.As(b.err, &collision):
			errs[i] = &fault.Error{Kind: fault.Content, What: makingFiles, Why: b.err.Error(), Hint: "give one of them an objectAlias such as db-*", Cause: b.err}
		default:
			errs[i] = documentFault(b.object, b.spec, b.err)
		}
	}
	return fault.Join(errs)
}

const makingFiles = "cannot make the files of the volume"

// endFault says why the files of a volume end: a limit, or no memory.
func endFault(err error) error {
	var limit *limitError
	switch {
	case !errors.As(err, &limit):
		return fault.NoMemory(makingFiles, err)
	case limit.kind == tooManyFiles:
		return &fault.Error{
			Kind: fault.Content, What: tooManyFiles, Why: limit.why, Hint: "write them as one file with format: env, properties, yaml or json, select fewer, or use two volumes",
		}
	default:
		return fault.TooLarge(limit.why)
	}
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
