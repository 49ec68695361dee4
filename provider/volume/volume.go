// Package volume makes the files of a volume from the values of its objects.
//
// A value goes through the files in one direction: volume.go takes the parts of it that files are made of, format.go gives
// them their encoding and format, and add.go adds the files to the volume.
package volume

import (
	"context"
	"errors"
	"slices"

	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/document"
	"secrets-provider-aws/provider/jmespath"
)

// Value is what AWS keeps under an object's name, or the values of a selection.
type Value struct {
	Content Content
	Version string   // of a selection, one that changes with its members and their versions
	Members []Member // of a selection, by name
	Absent  bool     // the object does not exist, and need not
}

// Member is one object of a selection.
type Member struct {
	Name string
	Value
}

// Length is what the value holds, in bytes.
func (v Value) Length() int {
	bytes := len(v.Content)
	for _, m := range v.Members {
		bytes += len(m.Content)
	}
	return bytes
}

// Make makes the files of objects, in their order. valueOf gives the value of the object at an index. All files together
// have at most maxBytes. memory is what the request may hold: the files take what they need of it beside the values.
//
// The error is a *fault.Error. It names the limit at which the volume ends, or else every value that does not fit its file.
func Make(ctx context.Context, objects []class.Object, valueOf func(i int) Value, maxBytes int, memory *bytebudget.Account) ([]File, error) {
	m := &maker{budget: jmespath.NewBudget(), volume: &volume{memory: memory, maxBytes: maxBytes, files: make([]File, 0, len(objects))}}
	for i, o := range objects {
		if err := m.make(ctx, o, valueOf(i)); err != nil {
			return nil, endFault(err)
		}
	}
	if len(m.misfits) > 0 {
		return nil, misfitFaults(m.misfits)
	}
	if len(m.files) == 0 {
		return []File{{Path: emptyVolume, Version: "none"}}, nil
	}
	return m.files, nil
}

// emptyVolume is the only file of a volume in which nothing exists. Without a file the driver would leave what it wrote
// before, and it refuses a response without the version of one.
const emptyVolume = ".empty"

// maker takes values apart, and makes the files of one volume of the parts. The errors of its methods end the volume.
type maker struct {
	*volume
	budget *jmespath.Budget
}

// How many times its text a parsed JSON value takes in memory: about, and at most for an awkward one that a format reads.
const (
	documentCost = 8
	formatCost   = 32
)

// parsingCost is how many times its text the value of o takes in memory while its files are made.
func parsingCost(o class.Object) int {
	switch {
	case slices.ContainsFunc(o.Files, func(f class.FileSpec) bool { return f.Format != document.Raw }):
		return formatCost
	case o.Selection != nil, o.Whole() && len(o.Files) == 1:
		return 0
	default:
		return documentCost
	}
}

// make makes the files of one object.
func (m *maker) make(ctx context.Context, o class.Object, v Value) error {
	if v.Absent {
		return nil
	}
	if err := m.countSelected(o, len(v.Members)); err != nil {
		return err
	}
	if cost := parsingCost(o); cost > 0 {
		bytes := int64(cost * v.Length())
		if err := m.memory.Grow(ctx, bytes); err != nil {
			return err
		}
		defer m.memory.Shrink(bytes)
	}
	switch {
	case o.Combined():
		return m.combined(ctx, o, v)
	case o.Selection != nil:
		return m.members(ctx, o, v)
	default:
		return m.single(ctx, o, v)
	}
}

// single makes the file of the whole value, then those of what each jmesPath selects from it.
func (m *maker) single(ctx context.Context, o class.Object, v Value) error {
	p := part{origin{o.Type, o.Name}, o.Files[0], v.Content, v.Version}
	if err := p.format(ctx, m.volume); err != nil || len(o.Files) == 1 {
		return err
	}
	doc, notJSON := jmespath.Parse(v.Content)
	for _, spec := range o.Files[1:] {
		p, err := part{p.origin, spec, nil, v.Version}, notJSON
		if err == nil {
			p.content, err = m.budget.Extract(spec.Selector, doc)
		}
		switch {
		case spec.Optional && errors.Is(err, jmespath.ErrNoResult):
			continue
		case err != nil:
			m.refuse(p, err)
			continue
		}
		if err := m.memory.Grow(ctx, int64(len(p.content))); err != nil {
			return err
		}
		if err := p.format(ctx, m.volume); err != nil {
			return err
		}
	}
	return nil
}

// members makes the files of each member of a selection.
func (m *maker) members(ctx context.Context, o class.Object, v Value) error {
	for _, member := range v.Members {
		p := part{origin{o.Type, member.Name}, o.Files[0], member.Content, member.Version}
		path, err := p.spec.PathOf(o.Selection.NameOf(member.Name))
		if err != nil {
			m.refuse(p, err)
			continue
		}
		p.spec.Path, p.spec.Pattern = path, false
		if err := p.format(ctx, m.volume); err != nil {
			return err
		}
	}
	return nil
}

// combined makes one document of a selection. Its keys are what the star stands for.
func (m *maker) combined(ctx context.Context, o class.Object, v Value) error {
	values := make(map[string][]byte, len(v.Members))
	for _, member := range v.Members {
		values[o.Selection.NameOf(member.Name)] = member.Content
	}
	if err := m.countParsed(v.Length()); err != nil {
		return err
	}
	p := part{origin{o.Type, o.Name}, o.Files[0], nil, v.Version}
	return p.formatPairs(ctx, m.volume, document.Of(values))
}
