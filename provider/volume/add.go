package volume

import (
	"fmt"
	"strings"

	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
)

// volume is what a volume has so far. The error of its methods is a *limit, which ends the volume.
type volume struct {
	memory   *bytebudget.Account
	maxBytes int
	files    []File
	paths    paths // of files
	bytes    int   // of files
	selected int   // objects
	parsed   int   // bytes of values that formats have read, which bounds their work
	misfits  []misfit
}

// limit is a limit of the volume that its values exceed.
type limit struct{ kind, why string }

func (e *limit) Error() string { return e.kind + ": " + e.why }

// The kinds of limit.
const (
	tooManyBytes = "the volume is too large"
	tooManyFiles = "the volume has too many files or objects"
)

// add adds a file of a part to the volume.
func (v *volume) add(p part, path string, content Content) error {
	if err := v.paths.add(path, p.origin); err != nil {
		v.refuse(p, err)
		return nil
	}
	v.files = append(v.files, File{Path: path, Mode: p.spec.Mode, Content: content, Version: p.version})
	if len(v.files) > class.MaxFiles {
		return &limit{tooManyFiles, fmt.Sprintf("with the keys of %s it has more than %d", p.origin, class.MaxFiles)}
	}
	if v.bytes += len(content); v.bytes > v.maxBytes {
		return &limit{tooManyBytes, fmt.Sprintf("its first %d files take %d bytes, the CSI driver accepts %d", len(v.files), v.bytes, v.maxBytes)}
	}
	return nil
}

// refuse notes that a part does not fit its files. The others are made all the same, so that every misfit is named.
func (v *volume) refuse(p part, err error) { v.misfits = append(v.misfits, misfit{p, err}) }

// paths finds collisions between the files of a volume, some of which have names that only the values show. The zero paths
// is empty.
type paths struct {
	files       map[string]origin // by path
	directories map[string]origin // path → a file below it
}

// collision is why two files cannot both be in a volume.
type collision struct{ why string }

func (c *collision) Error() string { return c.why }

// add adds a file. The error is a *collision that names both origins.
func (p *paths) add(file string, from origin) error {
	if p.files == nil {
		p.files, p.directories = map[string]origin{}, map[string]origin{}
	}
	if other, taken := p.files[file]; taken {
		return &collision{fmt.Sprintf("%s and %s both write the file %s", other, from, fault.Quote(file))}
	}
	if other, taken := p.directories[file]; taken {
		return &collision{fmt.Sprintf("%s writes the file %s where a file of %s needs a directory", from, fault.Quote(file), other)}
	}
	for i := strings.LastIndexByte(file, '/'); i > 0; i = strings.LastIndexByte(file[:i], '/') {
		if other, taken := p.files[file[:i]]; taken {
			return &collision{fmt.Sprintf("the file %s of %s needs a directory where %s writes a file", fault.Quote(file), from, other)}
		}
		p.directories[file[:i]] = from
	}
	p.files[file] = from
	return nil
}

// countSelected counts the members of a selection.
func (v *volume) countSelected(o class.Object, members int) error {
	if v.selected += members; v.selected > class.MaxObjects {
		return &limit{tooManyFiles, fmt.Sprintf("with %ss %s it selects %d objects, one volume takes at most %d", o.Type.Noun(), fault.Quote(o.Name), v.selected, class.MaxObjects)}
	}
	return nil
}

// countParsed counts bytes that formats read.
func (v *volume) countParsed(bytes int) error {
	if v.parsed += bytes; v.parsed > v.maxBytes {
		return &limit{tooManyBytes, fmt.Sprintf("its formats read %d bytes of values, the CSI driver accepts %d", v.parsed, v.maxBytes)}
	}
	return nil
}
