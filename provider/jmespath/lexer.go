package jmespath

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// kind is what a token is: a piece of punctuation is its own kind.
type kind string

const (
	kindName    kind = "a name"
	kindQuoted  kind = "a quoted name"
	kindNumber  kind = "a number"
	kindLiteral kind = "a literal"
	kindEnd     kind = "the end"
)

type token struct {
	kind  kind
	text  string // as written
	value any    // of a literal; the decoded name of a quoted name
	at    int    // byte offset
}

// punctuation, longest first.
var punctuation = []kind{
	"[?", "[]", "||", "&&", "==", "!=", "<=", ">=",
	".", "*", ",", ":", "{", "}", "[", "]", "(", ")", "@", "|", "<", ">", "!", "&",
}

// lex splits text into tokens, the last of which is kindEnd.
func lex(text string) ([]token, error) {
	var tokens []token
	for at := 0; at < len(text); {
		if strings.IndexByte(" \t\r\n", text[at]) >= 0 {
			at++
			continue
		}
		t, err := lexToken(text, at)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		at += len(t.text)
	}
	return append(tokens, token{kind: kindEnd, at: len(text)}), nil
}

func lexToken(text string, at int) (token, error) {
	t := token{at: at}
	rest := text[at:]
	var err error
	switch c := rest[0]; {
	case isNameStart(c):
		t.kind, t.text = kindName, prefix(rest, func(c byte) bool { return isNameStart(c) || isDigit(c) })
	case isDigit(c), c == '-' && len(rest) > 1 && isDigit(rest[1]):
		t.kind, t.text = kindNumber, rest[:1]+prefix(rest[1:], isDigit)
	case c == '"':
		t.kind = kindQuoted
		if t.text, err = quoted(text, at); err == nil && json.Unmarshal([]byte(t.text), &t.value) != nil {
			err = syntaxError(text, at, "a name in double quotes is written as a JSON string")
		}
	case c == '`':
		t.kind = kindLiteral
		if t.text, err = quoted(text, at); err == nil {
			body := strings.ReplaceAll(t.text[1:len(t.text)-1], "\\`", "`")
			if t.value, err = decode([]byte(body)); err != nil {
				err = syntaxError(text, at, "what stands in backticks must be JSON; a string is written 'like this'")
			}
		}
	case c == '\'':
		t.kind = kindLiteral
		if t.text, err = quoted(text, at); err == nil {
			t.value = strings.ReplaceAll(t.text[1:len(t.text)-1], `\'`, `'`)
		}
	case c == '-':
		err = syntaxError(text, at, `unexpected "-"; put a name with a dash in "double-quotes"`)
	default:
		for _, p := range punctuation {
			if strings.HasPrefix(rest, string(p)) {
				t.kind, t.text = p, string(p)
				return t, nil
			}
		}
		r, _ := utf8.DecodeRuneInString(rest)
		err = syntaxError(text, at, "unexpected %q", string(r))
	}
	return t, err
}

// quoted returns the text between two equal delimiters, both included. A backslash escapes the
// character behind it; in a raw string ('…') it escapes the delimiter only, so '\\' does not end.
func quoted(text string, at int) (string, error) {
	delimiter := text[at]
	for i := at + 1; i < len(text); i++ {
		switch {
		case text[i] == delimiter:
			return text[at : i+1], nil
		case text[i] == '\\' && (delimiter != '\'' || strings.HasPrefix(text[i+1:], "'")):
			i++
		}
	}
	return "", syntaxError(text, at, "%q is not closed", string(delimiter))
}

func prefix(text string, in func(byte) bool) string {
	i := 0
	for i < len(text) && in(text[i]) {
		i++
	}
	return text[:i]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isNameStart(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }

// syntaxError names the place at, a byte offset, as a reader counts it.
func syntaxError(text string, at int, format string, args ...any) error {
	return fmt.Errorf("syntax error at character %d: %s", utf8.RuneCountInString(text[:at])+1, fmt.Sprintf(format, args...))
}
