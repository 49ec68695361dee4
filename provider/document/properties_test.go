package document_test

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"secrets-provider-aws/provider/document"
)

// Examples of java.util.Properties.store.
func TestL3_PropertiesEscapes(t *testing.T) {
	p := document.Of(map[string][]byte{
		"spring.datasource.url": []byte("jdbc:postgresql://h/db?ssl=true"), "a key": []byte("  two spaces"), "#!=:": []byte("\\\t\n\r\f"), "é": []byte("😀\x00~\x7f"),
	})
	want := `\#\!\=\:=\\\t\n\r\f` + "\n" + `a\ key=\  two spaces` + "\n" + `spring.datasource.url=jdbc\:postgresql\://h/db?ssl\=true` + "\n" + `\u00E9=\uD83D\uDE00\u0000~\u007F` + "\n"
	if diff := cmp.Diff(want, write(t, p, document.Properties)); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
}

func TestL3_PropertiesRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, want := object(rt, awkward(), awkward())
		content := write(t, p, document.Properties)
		if diff := cmp.Diff(want, java(rt, content)); diff != "" {
			rt.Fatalf("java.util.Properties (-want +got):\n%s\nof\n%s", diff, content)
		}
	})
}

// java reads a file by the rules of java.util.Properties.load (Java API, "Class Properties"), in ISO 8859-1.
func java(t fataler, content string) map[string]string {
	t.Helper()
	got := map[string]string{}
	lines := strings.FieldsFunc(content, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := 0; i < len(lines); i++ {
		line := strings.TrimLeft(lines[i], " \t\f")
		for odd(line) && i+1 < len(lines) {
			i++
			line = line[:len(line)-1] + strings.TrimLeft(lines[i], " \t\f")
		}
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		end := 0
		for end < len(line) && !strings.ContainsRune("=: \t\f", rune(line[end])) {
			if line[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(line))
		rest := strings.TrimLeft(line[end:], " \t\f")
		if rest != "" && (rest[0] == '=' || rest[0] == ':') {
			rest = strings.TrimLeft(rest[1:], " \t\f")
		}
		got[unescaped(t, line[:end])] = unescaped(t, rest)
	}
	return got
}

// odd reports whether the line continues: an odd number of backslashes is at its end.
func odd(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

func unescaped(t fataler, text string) string {
	t.Helper()
	var units []uint16
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			units = append(units, uint16(text[i]))
			continue
		}
		i++
		switch c := text[i]; c {
		case 't', 'n', 'r', 'f':
			units = append(units, uint16(map[byte]byte{'t': '\t', 'n': '\n', 'r': '\r', 'f': '\f'}[c]))
		case 'u':
			unit, err := strconv.ParseUint(text[i+1:i+5], 16, 16)
			if err != nil {
				t.Fatal(err)
			}
			units = append(units, uint16(unit))
			i += 4
		default:
			units = append(units, uint16(c))
		}
	}
	return string(utf16.Decode(units))
}
