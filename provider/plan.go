package provider

import (
	"slices"

	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/document"
	"secrets-provider-aws/provider/volume"
)

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

// maxBytes is the most that the value takes.
func (t target) maxBytes() int64 {
	if t.selected != nil {
		return int64(t.selected.Max) * t.object.maxBytes()
	}
	return t.object.maxBytes()
}

// count counts the value towards what its region gives the volume.
func (t target) count(v volume.Value) { t.size.add(t.object, t.files, v.Length()) }

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

// exceeded is a fault once either region gave more than a volume may hold.
func (p plan) exceeded() error {
	region := p.primary[0].region
	if p.primary[len(p.primary)-1].region != region { // objects have regions of their own
		region = ""
	}
	if err := p.primarySize.err(region, len(p.primary)); err != nil || p.failover == nil {
		return err
	}
	return p.failoverSize.err(p.failover[0].region, len(p.failover))
}
