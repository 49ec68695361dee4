package provider

import (
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
)

// object is one value to read, in whichever region. Equal objects are read once.
type object struct {
	kind                 class.Type
	name, version, label string
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
func (o object) maxBytes() int64 {
	if o.kind == class.SSMParameter {
		return maxParameterBytes
	}
	return maxSecretBytes
}

// what says in a message what was being read.
func (o object) what() string {
	s := "cannot read " + o.kind.Noun() + " " + fault.Quote(o.name)
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
	primary *key  // in the failover region, the key of the same value in the primary region; else nil
	files   int   // that hold the whole value
	size    *size // of what its region gives the volume
}

// plan says which values a volume reads.
type plan struct {
	primary  []target // value → where the primary region has it
	failover []target // value → where the failover region has it; nil where the class names none
	valueOf  []int    // object of the class → its value

	primarySize, failoverSize *size
}

func newPlan(req Request) plan {
	type pair struct{ primary, failover object }
	objects, region, second := req.Class.Objects, req.Class.Region, req.Class.FailoverRegion
	p := plan{primary: make([]target, 0, len(objects)), valueOf: make([]int, len(objects))}
	p.primarySize, p.failoverSize = newSizes(req.MaxBytes)
	seen := make(map[pair]int, len(objects))
	for i, o := range objects {
		var both pair
		both.primary = object{kind: o.Type, name: o.Name, version: o.Version, label: o.Label}
		both.failover = both.primary
		if other := o.Failover; other != nil && second != "" {
			both.failover.name, both.failover.version, both.failover.label = other.Name, other.Version, other.Label
		}
		at, ok := seen[both]
		if !ok {
			at = len(p.primary)
			seen[both] = at
			p.primary = append(p.primary, target{key: key{req.Owner, region, both.primary}, size: p.primarySize})
			if second != "" {
				p.failover = append(p.failover, target{key: key{req.Owner, second, both.failover}, primary: &p.primary[at].key, size: p.failoverSize})
			}
		}
		p.valueOf[i] = at
		if !o.Whole() {
			continue
		}
		p.primary[at].files++
		if second != "" {
			p.failover[at].files++
		}
	}
	return p
}
