package volume

import (
	"context"

	"secrets-provider-aws/provider/document"
)

// maxKeys is the most keys of one value. The largest secret holds fewer, unless their names are shorter than its writer can use.
const maxKeys = 10_000

// format makes the files of a part from its content, in its encoding and format.
func (p part) format(ctx context.Context, v *volume) error {
	if p.spec.Format == document.Raw {
		return p.decode(ctx, v)
	}
	if err := v.countParsed(len(p.content)); err != nil {
		return err
	}
	pairs, err := document.Parse(p.content, maxKeys)
	if err != nil {
		v.refuse(p, err)
		return nil
	}
	return p.formatPairs(ctx, v, pairs)
}

// decode makes the file of a part without a format.
func (p part) decode(ctx context.Context, v *volume) error {
	if p.spec.Encoding != "" {
		if err := v.memory.Grow(ctx, int64(len(p.content))); err != nil {
			return err
		}
	}
	decoded, err := p.spec.Encoding.Decode(p.content)
	if err != nil {
		v.refuse(p, err)
		return nil
	}
	return v.add(p, p.spec.Path, decoded)
}

// formatPairs makes the files of pairs, in the encoding and format of p.
func (p part) formatPairs(ctx context.Context, v *volume, pairs document.Pairs) error {
	pairs, err := pairs.Decode(p.spec.Encoding)
	if err != nil {
		v.refuse(p, err)
		return nil
	}
	if p.spec.Format == document.Files {
		return p.each(ctx, v, pairs)
	}
	size, err := pairs.Size(p.spec.Format)
	if err != nil {
		v.refuse(p, err)
		return nil
	}
	if err := v.memory.Grow(ctx, int64(size)); err != nil {
		return err
	}
	written, err := pairs.Document(p.spec.Format)
	if err != nil {
		v.refuse(p, err)
		return nil
	}
	return v.add(p, p.spec.Path, written)
}

// each makes a file of each pair but null.
func (p part) each(ctx context.Context, v *volume, pairs document.Pairs) error {
	for _, pair := range pairs {
		if pair.Null() {
			continue
		}
		path, err := p.spec.PathOf(pair.Key)
		if err != nil {
			v.refuse(p, err)
			continue
		}
		if err := v.memory.Grow(ctx, int64(len(path)+len(pair.Value))); err != nil {
			return err
		}
		if err := v.add(p, path, pair.Value); err != nil {
			return err
		}
	}
	return nil
}
