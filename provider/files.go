package provider

import (
	"errors"
	"fmt"
	"sync"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/jmespath"
)

// files makes the files of objects. valueOf is object → its value in responses, which all succeeded.
func files(objects []class.Object, valueOf []int, responses []response) ([]File, error) {
	var (
		made   []File
		errs   []error
		budget = jmespath.NewBudget()
	)
	for i, o := range objects {
		v := responses[valueOf[i]].value
		parse := sync.OnceValues(func() (*jmespath.Document, error) { return jmespath.Parse(v.content) })
		for _, spec := range o.Files {
			file := File{Path: spec.Path, Mode: spec.Mode, Content: v.content, Version: v.version}
			if spec.Selector != nil {
				doc, err := parse()
				if err == nil {
					file.Content, err = budget.Extract(spec.Selector, doc)
				}
				if err != nil {
					errs = append(errs, extractionFault(o, spec, err))
					continue
				}
			}
			made = append(made, file)
		}
	}
	if err := fault.Join(errs); err != nil {
		return nil, err
	}
	return made, nil
}

// extractionFault says why a jmesPath gave no file. It names the path and never what the value holds.
func extractionFault(o class.Object, spec class.FileSpec, err error) error {
	e := &fault.Error{
		Kind:  fault.Content,
		What:  fmt.Sprintf("cannot write file %s from %s %s", fault.Quote(spec.Path), o.Type.Noun(), fault.Quote(o.Name)),
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
