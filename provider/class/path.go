package class

import (
	"path"
	"slices"
	"strings"

	"secrets-provider-aws/internal/fault"
)

// translation is what a slash in a name becomes in the file's path: text to put in its place,
// or keepSlashes.
type translation string

// keepSlashes (pathTranslation "False") trims leading slashes and keeps inner ones as directories.
const keepSlashes translation = ""

func (t translation) path(name string) string {
	if t == keepSlashes {
		return strings.TrimLeft(name, "/")
	}
	return strings.ReplaceAll(name, "/", string(t))
}

// Limits of the driver's writer (pkg/util/fileutil/atomic_writer.go of the CSI driver).
const (
	maxPath     = 4096 // bytes
	maxPathPart = 255  // bytes
)

// checkPath reports a path that the driver would refuse, or worse, accept:
// "." wipes the volume, and a NUL byte fails only after the directory was made.
// Such a path is taken away, so that nothing else is said of it.
func checkPath(f *FileSpec, r *report) {
	p := f.Path
	report := func(why string) {
		r.fault(f.field, f.at, "gives the file name %s, which %s", fault.Quote(p), why)
		f.Path = ""
	}
	if len(p) > maxPath {
		report("is longer than 4096 bytes: set objectAlias")
		return
	}
	parts := strings.Split(p, "/")
	switch {
	case p == "":
		report("is empty: set objectAlias")
	case strings.ContainsRune(p, 0):
		report("contains a NUL byte")
	case strings.HasPrefix(p, "/"):
		report("is absolute: set objectAlias or pathTranslation")
	case slices.Contains(parts, ".."):
		report("leaves the volume with ../")
	case strings.HasPrefix(p, ".."):
		report("begins with two dots: the CSI driver reserves such names")
	case p == ".":
		report("is the volume itself: set objectAlias")
	case path.Clean(p) != p:
		report("is not a clean path: remove empty elements, . elements and a slash at the end")
	case slices.ContainsFunc(parts, func(part string) bool { return len(part) > maxPathPart }):
		report("has an element longer than 255 bytes: set objectAlias")
	}
}

// checkCollisions refuses two files at one path (the driver would keep the last, silently), and a
// file where another needs a directory (the driver would fail and leak a directory each time).
// It covers the duplicates that rule K34 refuses: each of them ends in one path.
func checkCollisions(objects []Object, r *report) {
	owner := map[string]FileSpec{}
	names := map[string]string{} // field → what it is
	var files []FileSpec
	for _, o := range objects {
		for _, f := range o.Files {
			if f.Path == "" {
				continue
			}
			names[f.field] = o.Type.Noun() + " " + fault.Quote(o.Name)
			if first, taken := owner[f.Path]; taken {
				r.fault(f.field, f.at, "%s and %s (%s) both write the file %s: give each its own objectAlias",
					names[f.field], first.field, names[first.field], fault.Quote(f.Path))
				continue
			}
			owner[f.Path] = f
			files = append(files, f)
		}
	}
	for _, f := range files {
		for i := strings.LastIndexByte(f.Path, '/'); i > 0; i = strings.LastIndexByte(f.Path[:i], '/') {
			if file, taken := owner[f.Path[:i]]; taken {
				r.fault(f.field, f.at, "the file %s needs a directory where %s writes the file %s", fault.Quote(f.Path), file.field, fault.Quote(file.Path))
				break
			}
		}
	}
}
