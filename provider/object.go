package provider

import (
	"fmt"
	"slices"
	"strings"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
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

// maxBytes is the most that the value of one object takes.
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
