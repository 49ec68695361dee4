package class

import (
	"path"
	"slices"
	"strings"

	"secrets-provider-aws/internal/fault"
)

// translation is the text that replaces a slash of a name in the file's path, or keepSlashes.
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

// checkPath reports a path that the driver refuses, and also paths that it should refuse but does not: "."
// deletes the volume's content, and a NUL byte fails only after the driver has made the directory.
// checkPath clears such a path, so that no later check reports it again.
func checkPath(f *FileSpec, r *report) {
	if problem := pathProblem(f.Path); problem != "" {
		r.fault(f.field, f.at, "gives the file name %s, which %s", fault.Quote(f.Path), problem)
		f.Path = ""
	}
}

// pathProblem says what is wrong with a path, or nothing.
func pathProblem(p string) string {
	if len(p) > maxPath {
		return "is longer than 4096 bytes: set objectAlias"
	}
	parts := strings.Split(p, "/")
	switch {
	case p == "":
		return "is empty: set objectAlias"
	case strings.ContainsRune(p, 0):
		return "contains a NUL byte"
	case strings.HasPrefix(p, "/"):
		return "is absolute: set objectAlias or pathTranslation"
	case slices.Contains(parts, ".."):
		return "leaves the volume with ../"
	case strings.HasPrefix(p, ".."):
		return "begins with two dots: the CSI driver reserves such names"
	case p == ".":
		return "is the volume itself: set objectAlias"
	case path.Clean(p) != p:
		return "is not a clean path: remove empty elements, . elements and a slash at the end"
	case slices.ContainsFunc(parts, func(part string) bool { return len(part) > maxPathPart }):
		return "has an element longer than 255 bytes: set objectAlias"
	}
	return ""
}

// checkCollisions refuses two files with the same path, where the driver would keep only the last. It
// also refuses a file where another needs a directory, where the driver would fail and leak a directory each time.
// This covers the duplicates of rule K34, because each of them has the same path.
func checkCollisions(objects []Object, r *report) {
	owner := map[string]FileSpec{}
	names := map[string]string{} // field → object, for messages
	patterns := map[writes]FileSpec{}
	var files []FileSpec
	for _, o := range objects {
		for _, f := range o.Files {
			if f.Path == "" {
				continue
			}
			names[f.field] = o.what()
			if f.Pattern {
				if first, taken := patterns[o.writes(f)]; taken {
					r.fault(f.field, f.at, "%s and %s both write the files %s: give each its own objectAlias", names[f.field], first.field, fault.Quote(f.Path))
				}
				patterns[o.writes(f)] = f
				files = append(files, f)
				continue
			}
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
		known := f.Path
		if f.Pattern { // the directories before the star are the same for each file
			known = f.translate.path(f.alias[:strings.IndexByte(f.alias, '*')])
		}
		for i := strings.LastIndexByte(known, '/'); i > 0; i = strings.LastIndexByte(known[:i], '/') {
			if file, taken := owner[known[:i]]; taken {
				r.fault(f.field, f.at, "the file %s needs a directory where %s writes the file %s", fault.Quote(f.Path), file.field, fault.Quote(file.Path))
				break
			}
		}
	}
}

// writes says which files a pattern writes: two with the same fields write the same files, if any. Patterns of different
// values may be alike, because their keys may differ: only the values show whether two of their files collide.
type writes struct {
	kind                         Type
	name, version, label, region string
	expression, alias            string
}

func (o Object) writes(f FileSpec) writes {
	return writes{o.Type, o.Name, o.Version, o.Label, o.Region, f.Expression, f.alias}
}

// what names the object in a message.
func (o Object) what() string { return o.Type.Noun() + " " + fault.Quote(o.Name) }
