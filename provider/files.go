package provider

import (
	"context"
	"fmt"
	"sync"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/jmespath"
)

// documentCost is about how many times its text a parsed JSON value takes in memory.
const documentCost = 8

// files makes the files of a volume. valueOf is object → its value in responses, which all succeeded.
func files(ctx context.Context, req Request, valueOf []int, responses []response) ([]File, error) {
	w := &writer{req: req, budget: jmespath.NewBudget()}
	for i, o := range req.Class.Objects {
		if err := w.write(ctx, o, responses[valueOf[i]].value); err != nil {
			return nil, err
		}
	}
	if err := fault.Join(w.errs); err != nil {
		return nil, err
	}
	return w.files, nil
}

// writer makes the files of one volume.
type writer struct {
	req    Request
	budget *jmespath.Budget
	files  []File
	bytes  int     // of files
	errs   []error // of extractions
}

// write makes the files of one object. Its error ends the volume.
func (w *writer) write(ctx context.Context, o class.Object, v value) error {
	const what = "cannot make the files of the volume"
	if len(o.Files) > 1 { // a jmesPath selects from the value
		cost := int64(documentCost * len(v.content))
		if err := w.req.Memory.Grow(ctx, cost); err != nil {
			return noMemory(what, err)
		}
		defer w.req.Memory.Shrink(cost)
	}
	parse := sync.OnceValues(func() (*jmespath.Document, error) { return jmespath.Parse(v.content) })
	for _, spec := range o.Files {
		file := File{Path: spec.Path, Mode: spec.Mode, Content: v.content, Version: v.version}
		if spec.Selector != nil {
			doc, err := parse()
			if err == nil {
				file.Content, err = w.budget.Extract(spec.Selector, doc)
			}
			if err != nil {
				w.errs = append(w.errs, extractionFault(o, spec, err))
				continue
			}
			if err := w.req.Memory.Grow(ctx, int64(len(file.Content))); err != nil {
				return noMemory(what, err)
			}
		}
		w.files = append(w.files, file)
		if w.bytes += len(file.Content); w.bytes > w.req.MaxBytes {
			return tooLarge(fmt.Sprintf("its first %d files take %d bytes, the CSI driver accepts %d", len(w.files), w.bytes, w.req.MaxBytes))
		}
	}
	return nil
}
