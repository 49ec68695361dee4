package class

import (
	"cmp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/internal/fault"
)

// Failover is the object to read in the failover region: `failoverObject`, with missing fields taken from the
// object.
type Failover struct {
	Name    string // name or ARN
	Version string // the same as the object's
	Label   string // may differ from the object's

	named bool     // failoverObject has an objectName
	field string   // path of the field, such as `objects[2].failoverObject`
	at    position // of the name
}

// failoverEntry is an undecoded `failoverObject`.
type failoverEntry struct {
	name, version, label scalar

	field string
	at    position
}

func decodeFailover(field string, node *yaml.Node, r *report) *failoverEntry {
	if isNull(node) {
		return nil
	}
	e := &failoverEntry{field: field, at: at(node)}
	if !decodeMapping(field, node, failoverFields, e, r) || e.name.text+e.version.text+e.label.text == "" {
		return nil
	}
	return e
}

// failover builds the Failover of o, whose objectAlias is alias. As in AWS's provider, a failoverObject without a name
// uses the object's name and needs no alias.
func (e *failoverEntry) failover(o Object, alias string, r *report) *Failover {
	if e == nil {
		return nil
	}
	f := &Failover{
		Name: cmp.Or(e.name.text, o.Name), Version: cmp.Or(e.version.text, o.Version), Label: cmp.Or(e.label.text, o.Label),
		named: e.name.text != "", field: e.field, at: e.at,
	}
	if f.named {
		f.at = e.name.at
		if alias == "" {
			r.fault(e.field, e.at, "needs an objectAlias on the object: it names the file for both regions")
		}
		e.checkType(o.Type, r)
	}
	switch {
	case e.version.text == "" && f.named && o.Version != "":
		r.fault(e.field, e.at, "has no objectVersion: the object has %s, and both regions must have the same", fault.Quote(o.Version))
	case e.version.text != "" && e.version.text != o.Version:
		r.fault(e.field+".objectVersion", e.version.at, "%s differs from the object's objectVersion %s: both regions must have the same", fault.Quote(e.version.text), fault.Quote(o.Version))
	}
	if o.Type == SSMParameter {
		checkParameter(e.field, e.at, e.name, f.Version != "" && e.label.text != "", r)
	}
	return f
}

// checkType checks that an ARN belongs to the object's service.
func (e *failoverEntry) checkType(want Type, r *report) {
	if !strings.HasPrefix(e.name.text, "arn:") {
		return
	}
	switch got, ok := typeOfARN(e.name.text); {
	case !ok:
		r.fault(e.field+".objectName", e.name.at, "%s %s", fault.Quote(e.name.text), notAnARN)
	case got != want && (want == SecretsManager || want == SSMParameter):
		r.fault(e.field+".objectName", e.name.at, "%s is a %s, but the object is a %s", fault.Quote(e.name.text), got.Noun(), want.Noun())
	}
}

// checkFailover refuses ARNs of another region in the failover region. AWS would not find them there, and
// AWS's provider fails on them at each mount.
func checkFailover(objects []Object, region string, r *report) {
	for _, o := range objects {
		name := o.Name
		if o.Failover != nil {
			name = o.Failover.Name
		}
		a, err := arn.Parse(name)
		switch {
		case err != nil || a.Region == "" || a.Region == region:
		case name == o.Name:
			r.fault(o.field+".objectName", o.at, "%s is in region %s and cannot be read in the failover region %s: name its copy there in failoverObject", fault.Quote(name), a.Region, region)
		default:
			r.fault(o.Failover.field+".objectName", o.Failover.at, "%s is in region %s, but failoverRegion is %s", fault.Quote(name), a.Region, region)
		}
	}
}

// checkNoFailover reports each failoverObject of a volume without a failover region. Like AWS's provider it
// refuses only those that name another object.
func checkNoFailover(objects []Object, r *report) {
	for _, o := range objects {
		switch {
		case o.Failover == nil:
		case o.Failover.named:
			r.fault(o.Failover.field, o.Failover.at, "needs the parameter failoverRegion: set it to the region of this object")
		default:
			r.odd(o.Failover.field, o.Failover.at, "has no effect without failoverRegion")
		}
	}
}
