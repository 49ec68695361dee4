package provider

import (
	"fmt"
	"io/fs"
	"log/slog"
	"time"
)

// Content is a secret value. However it is printed, logged or marshalled to JSON,
// it shows as [redacted].
type Content []byte

const redacted = "[redacted]"

// Format prints [redacted] for every verb.
func (Content) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(redacted)) }

// LogValue logs [redacted].
func (Content) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText marshals to [redacted].
func (Content) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// File is one file of a volume.
type File struct {
	Path    string       // relative and clean
	Mode    *fs.FileMode // permission bits; nil for the volume's default
	Content Content
	Version string // VersionId of the secret or number of the parameter's version
}

// Format prints the path alone. Without it fmt would show the bytes of a *File in a map.
func (f File) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "file %q", f.Path) }

// value is what AWS keeps under an object's name, or the values of a selection.
type value struct {
	content Content
	version string   // of a selection, one that changes with its members and their versions
	members []member // of a selection, by name
	absent  bool     // the object does not exist, and need not
}

// member is one object of a selection.
type member struct {
	name string
	value
}

// length is what the value holds, in bytes.
func (v value) length() int {
	bytes := len(v.content)
	for _, m := range v.members {
		bytes += len(m.content)
	}
	return bytes
}

// response is one value, or why there is none.
type response struct {
	value  value
	err    error
	read   time.Time // when the read that gave value started
	source source    // of value
}

// source says where a value came from.
type source string

const (
	sourceAWS   source = "aws"   // read by this request or an equal one
	sourceCache source = "cache" // fresh
	sourceStale source = "stale" // last known, because AWS failed
)
