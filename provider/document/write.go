package document

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// Size is the length of the document in bytes. Size needs little memory, so a caller can make sure that there is room
// before Document. It reports the same errors.
func (p Pairs) Size(f Format) (int, error) {
	var n counter
	err := p.write(&n, f)
	return int(n), err
}

// Document writes all pairs as one document. f is one that OneFile reports. Equal pairs give equal bytes. The
// error is an *Error.
func (p Pairs) Document(f Format) ([]byte, error) {
	size, err := p.Size(f)
	if err != nil {
		return nil, err
	}
	b := make(buffer, 0, size)
	err = p.write(&b, f)
	return b, err
}

// counter counts what is written.
type counter int

func (n *counter) Write(b []byte) (int, error) {
	*n += counter(len(b))
	return len(b), nil
}

// buffer keeps what is written.
type buffer []byte

func (b *buffer) Write(more []byte) (int, error) {
	*b = append(*b, more...)
	return len(more), nil
}

func (p Pairs) write(w io.Writer, f Format) error {
	if err := p.check(f); err != nil {
		return err
	}
	switch f {
	case Env:
		return p.writeLines(w, appendEnv)
	case Properties:
		return p.writeLines(w, appendProperty)
	case YAML:
		if len(p) == 0 {
			_, err := io.WriteString(w, "{}\n")
			return err
		}
		return p.writeLines(w, appendYAML)
	case JSON:
		return p.writeJSON(w)
	default:
		return fmt.Errorf("document: %q is no form of one document", f)
	}
}

// check refuses pairs that no document of the format can hold.
func (p Pairs) check(f Format) error {
	var names, zeros, binary []string
	for _, pair := range p {
		switch {
		case f == Env && !identifier(pair.Key):
			names = append(names, pair.Key)
		case !utf8.Valid(pair.Value):
			binary = append(binary, pair.Key)
		case f == Env && slices.Contains(pair.Value, 0):
			zeros = append(zeros, pair.Key)
		}
	}
	switch {
	case len(names) > 0:
		return &Error{Keys: names, Reason: "is not the name of a variable: letters, digits and _, not beginning with a digit"}
	case len(binary) > 0:
		return &Error{Keys: binary, Reason: "has a value that is not text in UTF-8"}
	case len(zeros) > 0:
		return &Error{Keys: zeros, Reason: "has a value with a NUL character, which no variable can hold"}
	}
	return nil
}

func (p Pairs) writeLines(w io.Writer, appendLine func([]byte, Pair) []byte) error {
	var line []byte
	for _, pair := range p {
		line = appendLine(line[:0], pair)
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// writeJSON writes one line without white space. Values keep their JSON types.
func (p Pairs) writeJSON(w io.Writer) error {
	member := []byte("{")
	for i, pair := range p {
		if i > 0 {
			member = append(member[:0], ',')
		}
		member = append(appendString(member, pair.Key), ':')
		switch pair.kind {
		case text:
			member = appendString(member, string(pair.Value))
		case null:
			member = append(member, "null"...)
		default:
			member = append(member, pair.Value...)
		}
		if _, err := w.Write(member); err != nil {
			return err
		}
	}
	if len(p) > 0 {
		member = member[:0]
	}
	_, err := w.Write(append(member, '}'))
	return err
}

// appendString appends a JSON string as jmesPath writes it, with the necessary escapes only.
func appendString(b []byte, s string) []byte {
	out := buffer(b)
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string, into memory
	return out[:len(out)-1]
}
