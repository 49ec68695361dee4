package provider

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/document"
	"secrets-provider-aws/provider/jmespath"
)

// How many times its text a parsed JSON value takes in memory: about, and at most for an awkward one that a format reads.
const (
	documentCost = 8
	formatCost   = 32
)

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
	if len(w.files) == 0 {
		return []File{emptyFile()}, nil
	}
	return w.files, nil
}

// emptyFile is the only file of a volume that has none: all its keys or optional parts are absent. The driver writes nothing for a
// response without files, and would leave those of before (pkg/secrets-store/provider_client.go of the CSI driver).
func emptyFile() File { return File{Path: ".empty", Version: "none"} }

// writer makes the files of one volume.
type writer struct {
	req    Request
	budget *jmespath.Budget
	files  []File
	paths  class.Paths // of files
	bytes  int         // of files
	parsed int         // bytes of values that formats have read, which bounds their work
	errs   []error     // of values that do not fit the class
}

// write makes the files of one object. Its error ends the volume.
func (w *writer) write(ctx context.Context, o class.Object, v value) error {
	if !o.Whole() || len(o.Files) > 1 { // a value is parsed
		cost := int64(documentCost * len(v.content))
		if slices.ContainsFunc(o.Files, func(f class.FileSpec) bool { return f.Format != document.Raw }) {
			cost = int64(formatCost * len(v.content))
		}
		if err := w.grow(ctx, cost); err != nil {
			return err
		}
		defer w.req.Memory.Shrink(cost)
	}
	parse := sync.OnceValues(func() (*jmespath.Document, error) { return jmespath.Parse(v.content) })
	for _, spec := range o.Files {
		content := v.content
		if spec.Selector != nil {
			doc, err := parse()
			if err == nil {
				content, err = w.budget.Extract(spec.Selector, doc)
			}
			switch {
			case spec.Optional && noResult(err):
				continue
			case err != nil:
				w.errs = append(w.errs, extractionFault(o, spec, err))
				continue
			}
			if err := w.grow(ctx, int64(len(content))); err != nil {
				return err
			}
		}
		if err := w.form(ctx, o, spec, content, v.version); err != nil {
			return err
		}
	}
	return nil
}

// form makes the files of one spec from the content that it selects, in its encoding and format. Its error ends the volume.
func (w *writer) form(ctx context.Context, o class.Object, spec class.FileSpec, content Content, version string) error {
	if spec.Format == document.Raw {
		if spec.Encoding != "" {
			if err := w.grow(ctx, int64(len(content))); err != nil {
				return err
			}
		}
		decoded, err := spec.Encoding.Decode(content)
		if err != nil {
			w.errs = append(w.errs, documentFault(o, spec, err))
			return nil
		}
		return w.add(o, File{Path: spec.Path, Mode: spec.Mode, Content: decoded, Version: version})
	}
	if w.parsed += len(content); w.parsed > w.req.MaxBytes {
		return tooLarge(fmt.Sprintf("its formats read %d bytes of values, the CSI driver accepts %d", w.parsed, w.req.MaxBytes))
	}
	pairs, err := document.Parse(content, maxKeys)
	if err == nil {
		pairs, err = pairs.Decode(spec.Encoding)
	}
	if err != nil {
		w.errs = append(w.errs, documentFault(o, spec, err))
		return nil
	}
	if spec.Format == document.Files {
		return w.forEach(ctx, o, spec, pairs, version)
	}
	size, err := pairs.Size(spec.Format)
	if err != nil {
		w.errs = append(w.errs, documentFault(o, spec, err))
		return nil
	}
	if err := w.grow(ctx, int64(size)); err != nil {
		return err
	}
	written, err := pairs.Document(spec.Format)
	if err != nil {
		w.errs = append(w.errs, documentFault(o, spec, err))
		return nil
	}
	return w.add(o, File{Path: spec.Path, Mode: spec.Mode, Content: written, Version: version})
}

// forEach makes a file of each pair but null. Its error ends the volume.
func (w *writer) forEach(ctx context.Context, o class.Object, spec class.FileSpec, pairs document.Pairs, version string) error {
	for _, pair := range pairs {
		if pair.Null() {
			continue
		}
		path, err := spec.PathOf(pair.Key)
		if err != nil {
			w.errs = append(w.errs, documentFault(o, spec, &document.Error{Keys: []string{pair.Key}, Reason: err.Error()}))
			continue
		}
		if err := w.grow(ctx, int64(len(path)+len(pair.Value))); err != nil {
			return err
		}
		if err := w.add(o, File{Path: path, Mode: spec.Mode, Content: pair.Value, Version: version}); err != nil {
			return err
		}
	}
	return nil
}

// add adds a file to the volume. Its error ends the volume.
func (w *writer) add(o class.Object, file File) error {
	if err := w.paths.Add(file.Path, o.Type.Noun()+" "+fault.Quote(o.Name)); err != nil {
		w.errs = append(w.errs, collisionFault(err))
		return nil
	}
	w.files = append(w.files, file)
	if len(w.files) > class.MaxFiles {
		return tooManyFiles(o)
	}
	if w.bytes += len(file.Content); w.bytes > w.req.MaxBytes {
		return tooLarge(fmt.Sprintf("its first %d files take %d bytes, the CSI driver accepts %d", len(w.files), w.bytes, w.req.MaxBytes))
	}
	return nil
}

// grow takes memory for what the files need beside the values.
func (w *writer) grow(ctx context.Context, bytes int64) error {
	if err := w.req.Memory.Grow(ctx, bytes); err != nil {
		return noMemory("cannot make the files of the volume", err)
	}
	return nil
}
