package document

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// appendProperty appends key=value as java.util.Properties.store writes it. The result is ASCII, so
// its reader needs no encoding.
func appendProperty(line []byte, p Pair) []byte {
	line = appendEscaped(line, []byte(p.Key), true)
	line = append(line, '=')
	line = appendEscaped(line, p.Value, false)
	return append(line, '\n')
}

// appendEscaped escapes every space of a key, but only the first character of a value if it is a space.
func appendEscaped(line, text []byte, key bool) []byte {
	for i := 0; i < len(text); {
		r, width := utf8.DecodeRune(text[i:])
		switch {
		case r == ' ' && (key || i == 0), r == '\\', r == '=', r == ':', r == '#', r == '!':
			line = append(line, '\\', text[i])
		case r == '\t':
			line = append(line, '\\', 't')
		case r == '\n':
			line = append(line, '\\', 'n')
		case r == '\r':
			line = append(line, '\\', 'r')
		case r == '\f':
			line = append(line, '\\', 'f')
		case r >= ' ' && r <= '~':
			line = append(line, text[i])
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				line = fmt.Appendf(line, `\u%04X`, unit)
			}
		}
		i += width
	}
	return line
}
