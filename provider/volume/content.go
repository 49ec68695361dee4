package volume

import (
	"fmt"
	"io/fs"
	"log/slog"
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
