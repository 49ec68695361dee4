package main

import "strings"

// noise are texts that parsers fall over.
var noise = []string{
	"", "\x00", "\n", "\r\n", "\t", "\"", "'", "`", "\\", "{", "}", "[", "]", ",", ":", "&a ", "*a", "<<: *a", "- ", "|", ">", "!!binary ", "!!int ", "%", "@",
	"---\n", "...\n", "#", "~", "null", "true", "-0", "1e999", "0x1F", "0600", "NaN", ".inf", "\u202e", "\u00e9", "\ufeff", "\U0001F600", "\x7f", "\x1b[31m",
	"../", "..", "/", "//", "a/b", "/etc/passwd", ".", "arn:aws:", ":::::", "$(id)", "%s%n", "{{.}}", "\xff", "\xc3", "99999999999999999999", "-1",
}

// mutate changes text in a few places.
func (s *source) mutate(text string) string {
	b := []byte(text)
	for range 1 + s.IntN(4)/3*s.IntN(4) {
		at := 0
		if len(b) > 0 {
			at = s.IntN(len(b))
		}
		switch s.IntN(7) {
		case 0: // one bit
			if len(b) > 0 {
				b[at] ^= 1 << s.IntN(8)
			}
		case 1: // another byte
			if len(b) > 0 {
				b[at] = byte(s.IntN(256))
			}
		case 2: // a part less
			end := min(at+1+s.IntN(12), len(b))
			b = append(b[:at:at], b[end:]...)
		case 3: // a part twice
			end := min(at+1+s.IntN(40), len(b))
			b = append(b[:end:end], b[at:]...)
		case 4: // the end cut off
			if s.IntN(3) == 0 {
				b = b[:at]
			}
		default:
			b = append(b[:at:at], s.pick(noise...)+string(b[at:])...)
		}
	}
	return string(b)
}

// text of some sort.
func (s *source) text() string {
	switch s.IntN(12) {
	case 0:
		return strings.Repeat(s.pick(noise...), 1+s.IntN(300))
	case 1:
		return s.huge()
	case 2:
		return s.pick("prod/db", "region", "hostile/small", "False", "true", "tenant-1") + s.pick(noise...)
	default:
		var out strings.Builder
		for range s.IntN(8) {
			out.WriteString(s.pick(noise...))
			out.WriteString(s.pick("a", "db", "Z9", "-", "_", " "))
		}
		return out.String()
	}
}

// Sizes of huge texts. An object of Kubernetes takes at most 1.5 MiB, so that no pod author can have more in one.
const (
	hugeText    = 32 << 10
	largestText = 1536 << 10
)

// huge is a text of up to 32 KiB, and seldom of up to 1.5 MiB.
func (s *source) huge() string {
	size := s.IntN(hugeText)
	if s.IntN(60) == 0 {
		size = s.IntN(largestText)
	}
	unit := s.pick("x", "é", "a/", "- a\n", "<", "\x01", "a,", "[", "{a: ", "*a ", " ", "\n", "!", "\"")
	return strings.Repeat(unit, size/len(unit))
}
