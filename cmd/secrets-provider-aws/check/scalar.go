package check

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxMapped is the longest text to map, in bytes. The API server accepts less.
const maxMapped = 2 << 20

// mark is a line and column of a document.
type mark struct{ line, column int }

// inScalar maps a line and column (0 for the line's first character) of a scalar's text to a position in the file, for
// every YAML style. It reads the scalar a second time, rune by rune, and compares it with the result of the YAML parser.
// ok is false if the two differ, or if there is no such line.
func (d *document) inScalar(node *yaml.Node, line, column int) (at place, ok bool) {
	marks := d.marks(node)
	i := runeAt(node.Value, line, max(column, 1))
	if i >= len(marks) {
		return place{}, false
	}
	return place{file: d.file, line: d.first - 1 + marks[i].line, column: marks[i].column}, true
}

// runeAt is the index of the rune at a line and column of text, or of the last rune of a shorter line. One line after
// the last counts as the last: the YAML parser reports the end of a text there.
func runeAt(text string, line, column int) int {
	i, last := 0, 0
	l, c := 1, 1
	for rest := text; rest != "" && l <= line; i++ {
		r, size := utf8.DecodeRuneInString(rest)
		if l == line && c > column {
			break
		}
		last = i
		c++
		if isBreak(r) && (r != '\r' || !strings.HasPrefix(rest[size:], "\n")) {
			l, c = l+1, 1
		}
		rest = rest[size:]
	}
	return last
}

// marks are the positions of the runes of a scalar's text, nil if the source does not match the parsed text.
func (d *document) marks(node *yaml.Node) []mark {
	if len(node.Value) > maxMapped {
		return nil
	}
	c := &cursor{rest: d.text, at: mark{1, 1}}
	for c.rest != "" && (c.at.line < node.Line || c.at.line == node.Line && c.at.column < node.Column) {
		c.next()
	}
	for c.peek() == '&' || c.peek() == '!' { // skip anchors and tags
		for c.rest != "" && !isSpace(c.peek()) {
			c.next()
		}
		for isSpace(c.peek()) {
			c.next()
		}
	}
	m := &matcher{want: node.Value}
	switch c.peek() {
	case '|', '>':
		m.block(c, node.Value)
	case '"', '\'':
		quote := c.next()
		m.flow(c, quote)
	default:
		m.flow(c, 0)
	}
	if m.want != "" {
		return nil
	}
	return m.marks
}

// cursor reads a document rune by rune.
type cursor struct {
	rest string
	at   mark
}

// peek is the next rune, 0 at the end.
func (c *cursor) peek() rune {
	if c.rest == "" {
		return 0
	}
	r, _ := utf8.DecodeRuneInString(c.rest)
	return r
}

// next consumes one rune. It normalises line breaks to \n like YAML, but keeps the Unicode separators.
func (c *cursor) next() rune {
	if c.rest == "" {
		return 0
	}
	r, size := utf8.DecodeRuneInString(c.rest)
	if strings.HasPrefix(c.rest, "\r\n") {
		size = 2
	}
	c.rest = c.rest[size:]
	if !isBreak(r) {
		c.at.column++
		return r
	}
	c.at = mark{c.at.line + 1, 1}
	if r == '\u2028' || r == '\u2029' {
		return r
	}
	return '\n'
}

func isBreak(r rune) bool {
	return r == '\n' || r == '\r' || r == '\u0085' || r == '\u2028' || r == '\u2029'
}
func isBlank(r rune) bool { return r == ' ' || r == '\t' }
func isSpace(r rune) bool { return isBlank(r) || isBreak(r) }

// matcher compares the runes of a source with the parsed text.
type matcher struct {
	want   string // the rest of the parsed text
	marks  []mark // of the matched runes
	failed bool
}

// spot is a rune with its position.
type spot struct {
	r  rune
	at mark
}

func (m *matcher) emit(spots ...spot) {
	for _, s := range spots {
		if m.over() {
			return
		}
		r, size := utf8.DecodeRuneInString(m.want)
		if r != s.r {
			m.failed = true
			return
		}
		m.want = m.want[size:]
		m.marks = append(m.marks, s.at)
	}
}

func (m *matcher) over() bool { return m.failed || m.want == "" }

func (c *cursor) take() spot {
	at := c.at
	return spot{c.next(), at}
}

// flow reads a plain scalar (quote 0), or a quoted one after its opening quote (YAML 1.2, section 7.3).
func (m *matcher) flow(c *cursor, quote rune) {
	for !m.over() && c.rest != "" {
		switch r := c.peek(); {
		case isSpace(r):
			m.fold(c, false)
		case quote == '\'' && r == '\'':
			s := c.take()
			if c.next() != '\'' {
				return // the end of the scalar
			}
			m.emit(s)
		case quote == '"' && r == '"':
			return
		case quote == '"' && r == '\\':
			m.escape(c)
		default:
			m.emit(c.take())
		}
	}
}

// fold reads white space. It keeps blanks, unless there is a line break among them. It turns the first break into a space
// if there is only one, and keeps the others.
func (m *matcher) fold(c *cursor, escaped bool) {
	var blanks, breaks []spot
	broken := escaped
	var first spot
	for isSpace(c.peek()) {
		s := c.take()
		switch {
		case isBlank(s.r):
			blanks = append(blanks, s)
		case !broken:
			broken, first = true, s
		default:
			breaks = append(breaks, s)
		}
	}
	switch {
	case !broken:
		m.emit(blanks...)
	case first.r == '\n' && len(breaks) == 0:
		m.emit(spot{' ', first.at})
	case first.r != '\n' && first.r != 0:
		m.emit(first)
		fallthrough
	default:
		m.emit(breaks...)
	}
}

// escapes are the one-letter escapes of a double-quoted scalar.
var escapes = map[rune]rune{
	'0': 0, 'a': '\a', 'b': '\b', 't': '\t', '\t': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r', 'e': '\x1b',
	' ': ' ', '"': '"', '/': '/', '\\': '\\', 'N': '\u0085', '_': '\u00a0', 'L': '\u2028', 'P': '\u2029',
}

// hexDigits is the number of hex digits after an escape letter.
var hexDigits = map[rune]int{'x': 2, 'u': 4, 'U': 8}

func (m *matcher) escape(c *cursor) {
	s := c.take()
	letter := c.next()
	if isBreak(letter) {
		m.fold(c, true)
		return
	}
	s.r = escapes[letter]
	for range hexDigits[letter] {
		s.r = s.r<<4 | hexDigit(c.next())
	}
	m.emit(s)
}

// hexDigit is the value of a hex digit. The YAML parser has refused every other rune.
func hexDigit(r rune) rune {
	switch {
	case r >= 'a':
		return r - 'a' + 10
	case r >= 'A':
		return r - 'A' + 10
	default:
		return r - '0'
	}
}

// block reads a literal or folded scalar from its indicator (YAML 1.2, section 8.1). It computes the indentation as the
// difference between source and text, so that it need not read the indentation indicator.
func (m *matcher) block(c *cursor, text string) {
	folded := c.peek() == '>'
	for c.rest != "" && !isBreak(c.peek()) {
		c.next()
	}
	c.next()
	indentation := leadingSpaces(c.rest) - leadingSpaces(text)
	var lineBreak spot
	var breaks []spot
	wasIndented := false // the previous line begins with a blank, so it is not folded
	for !m.over() && c.rest != "" {
		for i := 0; i < indentation && c.peek() == ' '; i++ {
			c.next()
		}
		if isBreak(c.peek()) {
			breaks = append(breaks, c.take())
			continue
		}
		indented := isBlank(c.peek())
		switch {
		case lineBreak.r == 0:
		case !folded || wasIndented || indented || lineBreak.r != '\n':
			m.emit(lineBreak)
		case len(breaks) == 0:
			m.emit(spot{' ', lineBreak.at})
		}
		m.emit(breaks...)
		breaks, wasIndented = nil, indented
		for c.rest != "" && !isBreak(c.peek()) && !m.over() {
			m.emit(c.take())
		}
		lineBreak = c.take()
	}
	m.emit(lineBreak)
	m.emit(breaks...)
}

// leadingSpaces counts the spaces at the start of the first line that is not blank.
func leadingSpaces(text string) int {
	for text != "" {
		rest := strings.TrimLeft(text, " ")
		r, size := utf8.DecodeRuneInString(rest)
		if rest != "" && !isBreak(r) {
			return len(text) - len(rest)
		}
		text = rest[size:]
	}
	return 0
}
