package provider

import (
	"fmt"
	"slices"
	"strings"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/document"
)

// object is one value to read, in whichever region. Equal objects are read once. A selection is one value too.
type object struct {
	kind                 class.Type
	name, version, label string
	selection            string // what a selection depends on beside the name: tags and its limit; empty for one object
}

// objectOf is the object that o names in the primary region.
func objectOf(o class.Object) object {
	got := object{kind: o.Type, name: o.Name, version: o.Version, label: o.Label}
	if s := o.Selection; s != nil {
		tags := slices.Clone(s.Tags)
		slices.SortFunc(tags, func(a, b class.Tag) int { return strings.Compare(a.Key, b.Key) })
		got.selection = fmt.Sprintf("%d %q", s.Max, tags)
	}
	return got
}

// pinned reports whether the object names a version, which never changes. A staging label beside it can
// move, and AWS decides whether the two agree.
func (o object) pinned() bool { return o.version != "" && o.label == "" }

// The largest values: Secrets Manager API reference, GetSecretValue, SecretString; Systems Manager API reference,
// PutParameter, Value, in the advanced tier.
const (
	maxSecretBytes    = 64 << 10
	maxParameterBytes = 8 << 10
)

// maxBytes is the most that a value takes.
func (t target) maxBytes() int64 {
	if t.selected != nil {
		return int64(t.selected.Max) * t.object.maxBytes()
	}
	return t.object.maxBytes()
}

func (o object) maxBytes() int64 {
	if o.kind == class.SSMParameter {
		return maxParameterBytes
	}
	return maxSecretBytes
}

// what says in a message what was being read.
func (o object) what() string {
	s := "cannot read " + o.kind.Noun() + " " + fault.Quote(o.name)
	if o.selection != "" {
		s = "cannot read " + o.kind.Noun() + "s " + fault.Quote(o.name)
	}
	if o.version != "" {
		s += " version " + fault.Quote(o.version)
	}
	if o.label != "" {
		s += " label " + fault.Quote(o.label)
	}
	return s
}

// key names a value in the cache. The owner stands first: nothing is shared without it.
type key struct {
	owner  Owner
	region string
	object
}

// target is a value that a volume reads from one region.
type target struct {
	key
	primary  *key             // in the failover region, the key of the same value in the primary region; else nil
	selected *class.Selection // nil for one object
	optional bool             // that it does not exist is no failure, for none of the objects of the class that want it
	files    int              // that hold the whole value
	size     *size            // of what its region gives the volume
}

// plan says which values a volume reads.
type plan struct {
	primary  []target // value → where the primary region has it, or the region of the object; those of one region together
	failover []target // value → where the failover region has it; nil where the class names none
	valueOf  []int    // object of the class → its value

	primarySize, failoverSize *size
}

func newPlan(req Request) plan {
	p := plan{primary: make([]target, 0, len(req.Class.Objects)), valueOf: make([]int, len(req.Class.Objects))}
	p.primarySize, p.failoverSize = newSizes(req.MaxBytes)
	for _, region := range regionsOf(req.Class) {
		p.addRegion(req, region)
	}
	return p
}

// regionsOf are the regions that the objects of a class are read from, without the failover region.
func regionsOf(c class.Class) []string {
	var names []string
	for _, o := range c.Objects {
		if name := c.RegionOf(o); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// addRegion adds the values that a volume reads from one region, each of them once.
func (p *plan) addRegion(req Request, region string) {
	type pair struct{ primary, failover object }
	seen := make(map[pair]int, len(req.Class.Objects))
	second := req.Class.FailoverRegion
	for i, o := range req.Class.Objects {
		if req.Class.RegionOf(o) != region {
			continue
		}
		both := pair{primary: objectOf(o)}
		both.failover = both.primary
		if other := o.Failover; other != nil && second != "" {
			both.failover.name, both.failover.version, both.failover.label = other.Name, other.Version, other.Label
		}
		at, ok := seen[both]
		if !ok {
			at = len(p.primary)
			seen[both] = at
			p.primary = append(p.primary, target{key: key{req.Owner, region, both.primary}, selected: o.Selection, optional: true, size: p.primarySize})
			if second != "" {
				p.failover = append(p.failover, target{
					key: key{req.Owner, second, both.failover}, primary: &p.primary[at].key, selected: o.Selection, optional: true, size: p.failoverSize,
				})
			}
		}
		p.valueOf[i] = at
		p.primary[at].add(o)
		if second != "" {
			p.failover[at].add(o)
		}
	}
}

// add notes that o wants the value.
func (t *target) add(o class.Object) {
	t.optional = t.optional && o.Optional
	if o.Whole() || o.Selection != nil && o.Files[0].Format == document.Raw {
		t.files++
	}
}
