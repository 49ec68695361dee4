package provider

import (
	"context"
	"errors"
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
			return nil, endFault(err)
		}
	}
	if len(w.bad) > 0 {
		return nil, fileFaults(w.bad)
	}
	if len(w.files) == 0 {
		return []File{{Path: emptyVolume, Version: "none"}}, nil
	}
	return w.files, nil
}

// emptyVolume is the only file of a volume in which nothing exists. Without a file the driver would leave what it wrote
// before, and it refuses a response without the version of one.
const emptyVolume = ".empty"

// writer makes the files of one volume.
type writer struct {
	req      Request
	budget   *jmespath.Budget
	files    []File
	paths    class.Paths // of files
	bytes    int         // of files
	parsed   int         // bytes of values that formats have read, which bounds their work
	selected int         // objects
	bad      []badValue
}

// badValue is a value that does not fit a file of the class.
type badValue struct {
	object class.Object
	spec   class.FileSpec
	err    error // of what follows in the file's spec: the selector, or its encoding, format and name
}

func (w *writer) refuse(o class.Object, spec class.FileSpec, err error) {
	w.bad = append(w.bad, badValue{o, spec, err})
}

// limitError is a limit of a volume that its values exceed.
type limitError struct{ kind, why string }

func (e *limitError) Error() string { return e.kind + ": " + e.why }

// The kinds of limitError.
const (
	tooManyBytes = "the volume is too large"
	tooManyFiles = "the volume has too many files or objects"
)

// write makes the files of one object. Its error ends the volume.
func (w *writer) write(ctx context.Context, o class.Object, v value) error {
	switch {
	case v.absent:
		return nil
	case o.Selection != nil:
		return w.writeSelection(ctx, o, v)
	}
	if !o.Whole() || len(o.Files) > 1 { // a value is parsed
		cost := documentCost
		if slices.ContainsFunc(o.Files, func(f class.FileSpec) bool { return f.Format != document.Raw }) {
			cost = formatCost
		}
		back, err := w.growToParse(ctx, cost, len(v.content))
		if err != nil {
			return err
		}
		defer back()
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
			case spec.Optional && errors.Is(err, jmespath.ErrNoResult):
				continue
			case err != nil:
				w.refuse(o, spec, &selectorError{err})
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
			w.refuse(o, spec, err)
			return nil
		}
		return w.add(o, File{Path: spec.Path, Mode: spec.Mode, Content: decoded, Version: version})
	}
	if err := w.countParsed(len(content)); err != nil {
		return err
	}
	pairs, err := document.Parse(content, maxKeys)
	if err != nil {
		w.refuse(o, spec, err)
		return nil
	}
	return w.writePairs(ctx, o, spec, pairs, version)
}

// countParsed counts bytes that formats read. Its error ends the volume.
func (w *writer) countParsed(bytes int) error {
	if w.parsed += bytes; w.parsed > w.req.MaxBytes {
		return &limitError{tooManyBytes, fmt.Sprintf("its formats read %d bytes of values, the CSI driver accepts %d", w.parsed, w.req.MaxBytes)}
	}
	return nil
}

// writePairs makes the files of pairs, in their encoding and format. Its error ends the volume.
func (w *writer) writePairs(ctx context.Context, o class.Object, spec class.FileSpec, pairs document.Pairs, version string) error {
	pairs, err := pairs.Decode(spec.Encoding)
	if err != nil {
		w.refuse(o, spec, err)
		return nil
	}
	if spec.Format == document.Files {
		return w.forEach(ctx, o, spec, pairs, version)
	}
	size, err := pairs.Size(spec.Format)
	if err != nil {
		w.refuse(o, spec, err)
		return nil
	}
	if err := w.grow(ctx, int64(size)); err != nil {
		return err
	}
	written, err := pairs.Document(spec.Format)
	if err != nil {
		w.refuse(o, spec, err)
		return nil
	}
	return w.add(o, File{Path: spec.Path, Mode: spec.Mode, Content: written, Version: version})
}

// writeSelection makes the files of a selection: one for each member, or one of all.
func (w *writer) writeSelection(ctx context.Context, o class.Object, v value) error {
	spec := o.Files[0]
	if w.selected += len(v.members); w.selected > class.MaxObjects {
		return &limitError{tooManyFiles, fmt.Sprintf("with %ss %s it selects %d objects, one volume takes at most %d", o.Type.Noun(), fault.Quote(o.Name), w.selected, class.MaxObjects)}
	}
	if spec.Format != document.Raw {
		back, err := w.growToParse(ctx, formatCost, v.length())
		if err != nil {
			return err
		}
		defer back()
	}
	if o.Combined() {
		return w.combine(ctx, o, v)
	}
	for _, m := range v.members {
		of := o
		of.Name = m.name
		path, err := spec.PathOf(o.Selection.NameOf(m.name))
		if err != nil {
			w.refuse(of, spec, &document.Error{Keys: []string{o.Selection.NameOf(m.name)}, Reason: err.Error()})
			continue
		}
		its := spec
		its.Path, its.Pattern = path, false
		if err := w.form(ctx, of, its, m.content, m.version); err != nil {
			return err
		}
	}
	return nil
}

// combine makes one document of a selection. Its keys are what the star stands for.
func (w *writer) combine(ctx context.Context, o class.Object, v value) error {
	spec, values := o.Files[0], make(map[string][]byte, len(v.members))
	for _, m := range v.members {
		values[o.Selection.NameOf(m.name)] = m.content
	}
	if err := w.countParsed(v.length()); err != nil {
		return err
	}
	return w.writePairs(ctx, o, spec, document.Of(values), v.version)
}

// forEach makes a file of each pair but null. Its error ends the volume.
func (w *writer) forEach(ctx context.Context, o class.Object, spec class.FileSpec, pairs document.Pairs, version string) error {
	for _, pair := range pairs {
		if pair.Null() {
			continue
		}
		path, err := spec.PathOf(pair.Key)
		if err != nil {
			w.refuse(o, spec, &document.Error{Keys: []string{pair.Key}, Reason: err.Error()})
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
		w.refuse(o, class.FileSpec{}, &collisionError{err})
		return nil //nolint:nilerr // the volume goes on, and names the other collisions too
	}
	w.files = append(w.files, file)
	if len(w.files) > class.MaxFiles {
		return &limitError{tooManyFiles, fmt.Sprintf("with the keys of %s %s it has more than %d", o.Type.Noun(), fault.Quote(o.Name), class.MaxFiles)}
	}
	if w.bytes += len(file.Content); w.bytes > w.req.MaxBytes {
		return &limitError{tooManyBytes, fmt.Sprintf("its first %d files take %d bytes, the CSI driver accepts %d", len(w.files), w.bytes, w.req.MaxBytes)}
	}
	return nil
}

// grow takes memory for what the files need beside the values.
func (w *writer) grow(ctx context.Context, bytes int64) error {
	return w.req.Memory.Grow(ctx, bytes)
}

// growToParse takes memory for the time in which a value of that size is parsed. The caller calls back.
func (w *writer) growToParse(ctx context.Context, cost, bytes int) (back func(), err error) {
	if err := w.grow(ctx, int64(cost*bytes)); err != nil {
		return nil, err
	}
	return func() { w.req.Memory.Shrink(int64(cost * bytes)) }, nil
}

// selectorError is of a jmesPath.
type selectorError struct{ error }

func (e *selectorError) Unwrap() error { return e.error }

// collisionError is of two files at one path, the names of which were not known before the values.
type collisionError struct{ error }
