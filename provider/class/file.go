package class

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/document"
	"secrets-provider-aws/provider/jmespath"
)

// FileSpec is a file to write from an object's value, or a file for each key or each selected object.
type FileSpec struct {
	// Path is relative, clean, with slashes, and safe to write below the volume. If Pattern is set it only shows how the
	// paths look, with a * for the names: see PathOf.
	Path       string
	Pattern    bool                 // a file for each key of the value, or for each selected object
	Mode       *fs.FileMode         // permission bits, at most 0777; nil for the volume's default
	Expression string               // JMESPath expression that selects the content; empty for the whole value
	Selector   *jmespath.Expression // Expression, compiled; nil for the whole value
	Format     document.Format      // Raw for the value as it is
	Encoding   document.Encoding    // of the value, or of the value of each key; empty for none
	Optional   bool                 // absent where Expression selects nothing

	alias     string // with a star, if Pattern is set
	translate translation
	field     string
	at        position
}

// PathOf is the path of one file of a Pattern. name is the key, or what the star of the selection stands for. The error is a
// *document.Error that says why no file can have that name.
func (f FileSpec) PathOf(name string) (string, error) {
	before, after, _ := strings.Cut(f.alias, "*")
	path := f.translate.path(before + name + after)
	if problem := pathProblem(path); problem != "" {
		return "", &document.Error{Keys: []string{name}, Reason: fmt.Sprintf("gives the file name %s, which %s", fault.Quote(path), problem)}
	}
	return path, nil
}

// whole makes the FileSpec of an entry's whole value. many says that the entry selects objects.
func (e *entry) whole(many bool, translate translation, r *report) FileSpec {
	f := FileSpec{field: e.field, at: e.at, Mode: parseMode(e.field, e.permission, nil, r)}
	f.Format = parseFormat(e.field, e.format, r)
	f.Encoding = parseEncoding(e.field, e.encoding, r)
	if f.Encoding != "" && f.Format == document.Raw && len(e.jmesPath) > 0 {
		r.fault(e.field+".objectEncoding", e.encoding.at, "cannot be combined with jmesPath, which selects from JSON and not from %s: set objectEncoding on the entries of jmesPath", f.Encoding)
	}
	if e.alias.text != "" {
		f.field, f.at = e.field+".objectAlias", e.alias.at
		warnOfSpace(f.field, e.alias, r)
	}
	alias := e.alias.text
	switch {
	case e.name.text == "":
		return f
	case many && f.Format == document.Files:
		r.fault(e.field+".format", e.format.at, "files cannot be combined with a selection, which has a file for each object already: leave format out, or name each object")
		return f
	case many && f.Format.OneFile() && alias == "":
		r.fault(e.field, e.at, "needs an objectAlias: one with a * writes a document for each selected object, one without writes one document with all of them")
		return f
	case f.Format == document.Files, many && (f.Format == document.Raw || strings.Contains(alias, "*")):
		f.pattern(alias, translate, r)
		return f
	case alias == "":
		alias = e.name.text
	}
	f.literal(alias, translate, r)
	return f
}

func (j *jmesEntry) file(translate translation, inherited *fs.FileMode, r *report) FileSpec {
	f := FileSpec{Expression: j.path.text, field: j.field + ".objectAlias", at: j.alias.at}
	f.Mode = parseMode(j.field, j.permission, inherited, r)
	f.Format = parseFormat(j.field, j.format, r)
	f.Encoding = parseEncoding(j.field, j.encoding, r)
	f.Optional = parseOptional(j.field, j.optional, r)
	if j.path.text == "" {
		r.fault(j.field, j.at, "has no path: set it to the part of the JSON value to write")
	} else if compiled, err := jmespath.Compile(j.path.text); err != nil {
		r.fault(j.field+".path", j.path.at, "%s cannot be used: %v", fault.Quote(j.path.text), err)
	} else {
		f.Selector = compiled
		warnOfConstant(j.field+".path", j.path, compiled, r)
	}
	switch {
	case f.Format == document.Files:
		if j.alias.text == "" {
			f.field, f.at = j.field, j.at
		}
		warnOfSpace(f.field, j.alias, r)
		f.pattern(j.alias.text, translate, r)
	case j.alias.text == "":
		r.fault(j.field, j.at, "has no objectAlias: set it to the name of the file to write")
	default:
		warnOfSpace(f.field, j.alias, r)
		f.literal(j.alias.text, translate, r)
	}
	return f
}

// literal sets the path of one file. In the older formats a star is a part of the name.
func (f *FileSpec) literal(alias string, translate translation, r *report) {
	if f.Format.OneFile() && strings.Contains(alias, "*") {
		r.fault(f.field, f.at, "%s has a *, but format: %s writes one file: remove it", fault.Quote(alias), f.Format)
		return
	}
	f.Path = translate.path(alias)
	checkPath(f, r)
}

// pattern sets the path of a file for each key or object. Without an alias the file has the name of the key.
func (f *FileSpec) pattern(alias string, translate translation, r *report) {
	if alias == "" {
		alias = "*"
	}
	if strings.Count(alias, "*") != 1 {
		r.fault(f.field, f.at, "%s needs exactly one *, which stands for the key, or for the rest of the selected name: write it as in %s", fault.Quote(alias), `"db-*"`)
		return
	}
	f.Pattern, f.alias, f.translate = true, alias, translate
	before, after, _ := strings.Cut(alias, "*")
	if problem := pathProblem(translate.path(before + "x" + after)); problem != "" { // x: any name
		r.fault(f.field, f.at, "gives file names such as %s, which %s", fault.Quote(translate.path(alias)), strings.TrimSuffix(problem, ": set objectAlias"))
		return
	}
	f.Path = strings.Replace(translate.path(before+"\x00"+after), "\x00", "*", 1) // the alias has no NUL byte
}

func parseFormat(field string, s scalar, r *report) document.Format {
	switch {
	case s.text == "", s.text == rawWord:
		return document.Raw
	case !slices.Contains(formats, s.text):
		r.fault(field+".format", s.at, "%s is not one of %s%s", fault.Quote(s.text), strings.Join(formats, ", "), DidYouMean(s.text, formats))
		return document.Raw
	}
	return document.Format(s.text)
}

// parseEncoding ignores utf-8: it is a value of the Azure provider, and means no encoding.
func parseEncoding(field string, s scalar, r *report) document.Encoding {
	switch {
	case s.text == "":
		return ""
	case strings.EqualFold(s.text, "utf-8"):
		r.warn(Warning{Harmless: true, Fault: Fault{Field: field + ".objectEncoding", Line: s.at.line, Column: s.at.column, Message: fault.Quote(s.text) + " is a value of " + azure + " and has no effect: remove it"}})
		return ""
	case !slices.Contains(encodings, s.text):
		r.fault(field+".objectEncoding", s.at, "%s is not one of %s%s", fault.Quote(s.text), strings.Join(encodings, ", "), DidYouMean(s.text, encodings))
		return ""
	}
	return document.Encoding(s.text)
}

func parseOptional(field string, s scalar, r *report) bool {
	switch strings.ToLower(s.text) {
	case "", "false":
		return false
	case "true":
		return true
	}
	r.fault(field+".optional", s.at, "%s is neither true nor false", fault.Quote(s.text))
	return false
}

// warnOfSpace warns about a file name that looks like another one.
func warnOfSpace(field string, alias scalar, r *report) {
	if trimmed := strings.TrimSpace(alias.text); trimmed != alias.text && trimmed != "" {
		r.warn(Warning{Harmless: true, Fault: Fault{Field: field, Line: alias.at.line, Column: alias.at.column, Message: fmt.Sprintf("%s begins or ends with white space, which becomes part of the file name: write %s", fault.Quote(alias.text), fault.Quote(trimmed))}})
	}
}

// keyRE matches keys of a secret that JMESPath needs in double quotes only for a dash or a digit at the beginning.
var keyRE = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// warnOfConstant warns about an expression that writes its own text. 'db-key' and `db-key` are constants of JMESPath,
// and only "db-key" is a key.
func warnOfConstant(field string, path scalar, compiled *jmespath.Expression, r *report) {
	text, constant := compiled.Constant()
	if !constant {
		return
	}
	advice := "name a key of the secret"
	if keyRE.MatchString(text) {
		advice = fmt.Sprintf(`to read the key %s, write path: '"%s"'`, text, text)
	}
	r.odd(field, path.at, "%s is a constant: the file gets its text instead of a value of the secret: %s", fault.Quote(path.text), advice)
}

var modeRE = regexp.MustCompile(`^[0-7]{4}$`)

// parseMode accepts exactly four octal digits. Modes above 0777 are not valid in a CSI volume.
func parseMode(field string, s scalar, inherited *fs.FileMode, r *report) *fs.FileMode {
	if s.text == "" {
		return inherited
	}
	n, err := strconv.ParseUint(s.text, 8, 32)
	if !modeRE.MatchString(s.text) || err != nil || n > 0o777 {
		r.fault(field+".filePermission", s.at, "%s is not a permission of four octal digits from 0000 to 0777%s", fault.Quote(s.text), missingZero(s.text))
		return inherited
	}
	mode := fs.FileMode(n)
	return &mode
}

// missingZero suggests 0644 for 644.
func missingZero(text string) string {
	if modeRE.MatchString("0" + text) {
		return ": write 0" + text
	}
	return ""
}
