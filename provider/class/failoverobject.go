package class

import (
	"cmp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/internal/fault"
)

// Failover is what is read in the failover region in place of an object: `failoverObject`, with what it
// leaves out filled in from the object.
type Failover struct {
	Name    string // name or ARN
	Version string // the object's own
	Label   string // the object's own, or another

	named bool     // it has a name of its own
	field string   // its place, `objects[2].failoverObject`
	at    position // of its name
}

// failoverEntry is a `failoverObject` as it is written.
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
	scalars := map[string]*scalar{"objectName": &e.name, "objectVersion": &e.version, "objectVersionLabel": &e.label}
	if !decodeMapping(field, node, scalars, nil, r) || e.name.text+e.version.text+e.label.text == "" {
		return nil
	}
	return e
}

// failover is what e makes of o, whose alias is given. As in AWS's provider one without a name means the
// object's own, and needs no alias.
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

// checkType holds an ARN to the object's own service.
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

// checkFailover holds what is read in the failover region to ARNs of it: those of another region would not
// be found there, and AWS's provider fails on them at each mount.
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

// checkNoFailover speaks of what a volume without a failover region has no use for. AWS's provider refuses
// only the one that names another object.
func checkNoFailover(objects []Object, r *report) {
	for _, o := range objects {
		switch {
		case o.Failover == nil:
		case o.Failover.named:
			r.fault(o.Failover.field, o.Failover.at, "needs the parameter failoverRegion: set it to the region of this object")
		default:
			r.odd(o.Failover.field, o.Failover.at, "is not used, as there is no failoverRegion")
		}
	}
}
