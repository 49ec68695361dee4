package provider

import (
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
