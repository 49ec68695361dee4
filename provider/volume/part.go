package volume

import (
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
)

// part is what the files of one FileSpec are made of.
type part struct {
	origin  origin
	spec    class.FileSpec
	content Content
	version string
}

// origin is the object, or the member of a selection, that a part comes from.
type origin struct {
	kind class.Type
	name string
}

// String names the object in messages.
func (o origin) String() string { return o.kind.Noun() + " " + fault.Quote(o.name) }

// misfit is a part that does not fit its files.
type misfit struct {
	part
	err error // of jmesPath, a *document.Error or a *collision
}
