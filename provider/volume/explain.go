package volume

import (
	"errors"
	"fmt"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/document"
	"secrets-provider-aws/provider/jmespath"
)

// This file holds the messages of failures: what failed, why, and what to do. They name keys and paths, and never what a
// value holds.

const makingFiles = "cannot make the files of the volume"

// endFault says why a volume ends: a limit, or no memory.
func endFault(err error) error {
	var limit *limit
	switch {
	case !errors.As(err, &limit):
		return fault.NoMemory(makingFiles, err)
	case limit.kind == tooManyFiles:
		return &fault.Error{
			Kind: fault.Content, What: limit.kind, Why: limit.why, Hint: "write them as one file with format: env, properties, yaml or json, select fewer, or use two volumes",
		}
	default:
		return fault.TooLarge(limit.why)
	}
}

// misfitFaults says of each misfit why it does not fit its files.
func misfitFaults(misfits []misfit) error {
	errs := make([]error, len(misfits))
	for i, m := range misfits {
		var content *document.Error
		var collision *collision
		switch {
		case errors.As(m.err, &content):
			errs[i] = documentFault(m.part, m.err)
		case errors.As(m.err, &collision):
			errs[i] = &fault.Error{Kind: fault.Content, What: makingFiles, Why: m.err.Error(), Hint: "give one of them an objectAlias such as db-*", Cause: m.err}
		default:
			errs[i] = selectorFault(m.part, m.err)
		}
	}
	return fault.Join(errs)
}

// cannotWrite names the file, or the pattern of the files, and the object.
func (p part) cannotWrite() string {
	files := "file "
	if p.spec.Pattern {
		files = "files "
	}
	return "cannot write " + files + fault.Quote(p.spec.Path) + " from " + p.origin.String()
}

// selectorFault says why a jmesPath gave no content.
func selectorFault(p part, err error) error {
	e := &fault.Error{Kind: fault.Content, What: p.cannotWrite(), Cause: err}
	expression := "jmesPath " + fault.Quote(p.spec.Expression)
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

// documentFault says why content does not fit the encoding or format of its file.
func documentFault(p part, err error) error {
	e := &fault.Error{Kind: fault.Content, What: p.cannotWrite(), Why: err.Error(), Cause: err}
	if p.spec.Expression != "" {
		e.Why = "of the result of jmesPath " + fault.Quote(p.spec.Expression) + ", " + e.Why
	}
	switch {
	case errors.Is(err, document.ErrNotJSON):
		e.Hint = fmt.Sprintf("store JSON, or leave format: %s out", p.spec.Format)
	case p.spec.Format == document.Env:
		e.Hint = "rename the key, or use format: properties, yaml or json"
	case p.spec.Encoding != "":
		e.Hint = "correct the value, or leave objectEncoding out"
	}
	return e
}
