package class

import (
	"cmp"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/jmespath"
)

// Type is the AWS service that stores an object, as written in `objectType`.
type Type string

// The object types. They are case-sensitive, as in AWS's provider.
const (
	SecretsManager Type = "secretsmanager"
	SSMParameter   Type = "ssmparameter"
)

// Noun is the service's word for such an object.
func (t Type) Noun() string {
	if t == SSMParameter {
		return "parameter"
	}
	return "secret"
}

// Action is the IAM permission to read such an object.
func (t Type) Action() string {
	if t == SSMParameter {
		return "ssm:GetParameters"
	}
	return "secretsmanager:GetSecretValue"
}

// Object is one entry of `objects`: a secret or parameter to read, and the files to write.
type Object struct {
	Name    string     // name or ARN
	Type    Type       // never empty
	Version string     // VersionId of a secret or version number of a parameter; empty for the current one
	Label   string     // staging label of a secret or label of a parameter; empty for the current one
	Files   []FileSpec // the whole value first, then one for each jmesPath entry
	// Failover is the object to read in the failover region; nil for the same object.
	Failover *Failover

	field string   // path of the field, such as `objects[2]`
	at    position // of the name
}

// FileSpec is a file to write from an object's value.
type FileSpec struct {
	Path       string               // relative, clean, with slashes; safe to write below the volume
	Mode       *fs.FileMode         // permission bits, at most 0777; nil for the volume's default
	Expression string               // JMESPath expression that selects the content; empty for the whole value
	Selector   *jmespath.Expression // Expression, compiled; nil for the whole value

	field string
	at    position
}

// object converts an entry to an Object and reports all its faults.
func (e *entry) object(translate translation, r *report) Object {
	o := Object{Name: e.name.text, Version: e.version.text, Label: e.label.text, field: e.field, at: e.name.at}
	o.Type = e.objectType(r)
	if o.Type == SSMParameter {
		checkParameter(e.field, e.at, e.name, e.version.text != "" && e.label.text != "", r)
	}
	o.Failover = e.failover.failover(o, e.alias.text, r)
	e.warnOfRefusal(o.Type, r)
	whole := FileSpec{field: e.field, at: e.at, Mode: parseMode(e.field, e.permission, nil, r)}
	if e.alias.text != "" {
		whole.field, whole.at = e.field+".objectAlias", e.alias.at
		warnOfSpace(whole.field, e.alias, r)
	}
	if e.name.text != "" {
		whole.Path = translate.path(cmp.Or(e.alias.text, e.name.text))
		checkPath(&whole, r)
	}
	o.Files = append(o.Files, whole)
	for _, j := range e.jmesPath {
		o.Files = append(o.Files, j.file(translate, whole.Mode, r))
	}
	return o
}

// objectType follows rule K23: it is optional for an ARN, and must match the ARN's service.
func (e *entry) objectType(r *report) Type {
	named := Type(e.kind.text)
	switch named {
	case "", SecretsManager, SSMParameter:
	default:
		r.fault(e.field+".objectType", e.kind.at, "%s is not one of secretsmanager, ssmparameter%s",
			fault.Quote(e.kind.text), DidYouMean(e.kind.text, []string{string(SecretsManager), string(SSMParameter)}))
		return named
	}
	switch {
	case e.name.text == "" && e.misspelled != "":
		r.fault(e.field, e.at, "has no objectName (is %s a typo for it?)", fault.Quote(e.misspelled))
		return named
	case e.name.text == "":
		r.fault(e.field, e.at, "has no objectName")
		return named
	case !strings.HasPrefix(e.name.text, "arn:"):
		if named == "" {
			r.fault(e.field, e.at, "%s has no objectType: set it to secretsmanager or ssmparameter, or set objectName to the ARN", fault.Quote(e.name.text))
		}
		return named
	}
	inARN, ok := typeOfARN(e.name.text)
	if !ok {
		r.fault(e.field+".objectName", e.name.at, "%s %s", fault.Quote(e.name.text), notAnARN)
		return named
	}
	if named != "" && named != inARN {
		r.fault(e.field+".objectType", e.kind.at, "%s does not match the ARN %s, which is a %s", named, fault.Quote(e.name.text), inARN.Noun())
	}
	return inARN
}

const notAnARN = "is not the ARN of a secret (arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME) or of a parameter (arn:aws:ssm:REGION:ACCOUNT:parameter/NAME)"

func typeOfARN(name string) (Type, bool) {
	a, err := arn.Parse(name)
	switch {
	case err != nil || a.Region == "" || a.AccountID == "":
		return "", false
	case a.Service == "secretsmanager" && strings.HasPrefix(a.Resource, "secret:"):
		return SecretsManager, true
	case a.Service == "ssm" && strings.HasPrefix(a.Resource, "parameter/"):
		return SSMParameter, true
	default:
		return "", false
	}
}

// checkParameter checks that an entry for a parameter selects its version only once. both reports a version and a label.
func checkParameter(field string, at position, name scalar, both bool, r *report) {
	if both {
		r.fault(field, at, "a parameter takes objectVersion or objectVersionLabel, not both")
	}
	// A colon in the name would also select a version, and the response would look like that of the plain name.
	if strings.Contains(BareName(name.text), ":") {
		r.fault(field+".objectName", name.at, "%s contains a colon: select a version with objectVersion or objectVersionLabel", fault.Quote(name.text))
	}
}

// BareName returns the part that a parameter's name and ARN share: the path without its leading slash.
func BareName(name string) string {
	if strings.HasPrefix(name, "arn:") {
		_, name, _ = strings.Cut(name, ":parameter/")
	}
	return strings.TrimPrefix(name, "/")
}

func (j *jmesEntry) file(translate translation, inherited *fs.FileMode, r *report) FileSpec {
	f := FileSpec{Expression: j.path.text, field: j.field + ".objectAlias", at: j.alias.at}
	f.Mode = parseMode(j.field, j.permission, inherited, r)
	if j.path.text == "" {
		r.fault(j.field, j.at, "has no path: set it to the part of the JSON value to write")
	} else if compiled, err := jmespath.Compile(j.path.text); err != nil {
		r.fault(j.field+".path", j.path.at, "%s cannot be used: %v", fault.Quote(j.path.text), err)
	} else {
		f.Selector = compiled
		warnOfConstant(j.field+".path", j.path, compiled, r)
	}
	if j.alias.text == "" {
		r.fault(j.field, j.at, "has no objectAlias: set it to the name of the file to write")
		return f
	}
	warnOfSpace(f.field, j.alias, r)
	f.Path = translate.path(j.alias.text)
	checkPath(&f, r)
	return f
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

// checkARNRegions refuses ARNs of another region than the one to read from, where AWS would not find them.
func checkARNRegions(objects []Object, region string, r *report) {
	for _, o := range objects {
		a, err := arn.Parse(o.Name)
		if err == nil && a.Region != "" && a.Region != region {
			r.fault(o.field+".objectName", o.at, "%s is in region %s, but the volume reads from %s", fault.Quote(o.Name), a.Region, region)
		}
	}
}
