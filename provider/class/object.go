package class

import (
	"cmp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/document"
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

// Object is one entry of `objects`: a secret or parameter to read, or a selection of them, and the files to write.
type Object struct {
	Name    string // name or ARN; as written for a selection, with its star
	Type    Type   // never empty
	Version string // VersionId of a secret or version number of a parameter; empty for the current one
	Label   string // staging label of a secret or label of a parameter; empty for the current one
	Region  string // region to read from; empty for that of the class
	// Optional forgives that the object does not exist: its files are then absent.
	Optional bool
	// Selection says which objects to read; nil for the one of Name.
	Selection *Selection
	Files     []FileSpec // the one of the whole value first, then the one of each jmesPath entry; of a selection only the first
	// Failover is the object to read in the failover region; nil for the same object.
	Failover *Failover

	field string   // path of the field, such as `objects[2]`
	at    position // of the name
}

// Whole reports whether one file has the value as AWS stores it.
func (o Object) Whole() bool {
	return o.Selection == nil && len(o.Files) > 0 && o.Files[0].Format == document.Raw && o.Files[0].Encoding == ""
}

// object converts an entry to an Object and reports all its faults.
func (e *entry) object(translate translation, r *report) Object {
	o := Object{Name: e.name.text, Version: e.version.text, Label: e.label.text, field: e.field, at: e.name.at}
	o.Type = e.objectType(r)
	if o.Type == SSMParameter {
		checkParameter(e.field, e.at, e.name, e.version.text != "" && e.label.text != "", r)
	}
	o.Selection = e.selection(o.Type, r)
	o.Optional = parseOptional(e.field, e.optional, r)
	o.Region = parseObjectRegion(e.field, e.region, r)
	o.Failover = e.failover.failover(o, e.alias.text, r)
	e.warnOfRefusal(o.Type, r)
	whole := e.whole(o.Selection != nil, translate, r)
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

// checkARNRegions refuses ARNs of another region than the one to read from, where AWS would not find them. region is that
// of the class, if it is known.
func checkARNRegions(objects []Object, region string, r *report) {
	for _, o := range objects {
		a, err := arn.Parse(o.Name)
		switch want := cmp.Or(o.Region, region); {
		case err != nil || a.Region == "" || want == "" || a.Region == want:
		case o.Region != "":
			r.fault(o.field+".objectName", o.at, "%s is in region %s, but the object has region: %s", fault.Quote(o.Name), a.Region, o.Region)
		default:
			r.fault(o.field+".objectName", o.at, "%s is in region %s, but the volume reads from %s", fault.Quote(o.Name), a.Region, region)
		}
	}
}

func parseObjectRegion(field string, s scalar, r *report) string {
	if s.text != "" && !awsclient.ValidRegion(s.text) {
		r.fault(field+".region", s.at, "%s is not the name of an AWS region, such as eu-west-1", fault.Quote(s.text))
		return ""
	}
	return s.text
}

// checkOneRegion refuses objects with a region of their own in a volume with two regions, all values of which come from one.
func checkOneRegion(objects []Object, r *report) {
	for _, o := range objects {
		if o.Region != "" {
			r.fault(o.field+".region", o.at, "cannot be combined with failoverRegion, because all values of the volume then come from one region: remove one of the two, or use two volumes")
		}
	}
}
