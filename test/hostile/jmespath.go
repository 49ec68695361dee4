package main

import (
	"fmt"
	"strconv"
	"strings"
)

// attackJMESPath reads secrets that are there, with expressions that need not be right.
func attackJMESPath(s *source, m *mount) {
	var out strings.Builder
	for i := range 1 + s.IntN(8)/7 {
		fmt.Fprintf(&out, "- objectName: hostile/%s\n  objectType: secretsmanager\n  objectAlias: whole-%d\n  jmesPath:\n",
			s.pick("small", "small", "small", "small", "big", "wide", "deep", "odd", "long", "text", "binary"), i)
		for j := range 1 + s.IntN(4)/3 {
			fmt.Fprintf(&out, "  - {path: %s, objectAlias: part-%d-%d}\n", strconv.QuoteToASCII(s.expression()), i, j)
		}
	}
	m.parameters["objects"] = out.String()
}

// expression is of the grammar, such a one changed, or one that is made to hurt.
func (s *source) expression() string {
	switch s.IntN(10) {
	case 0, 1:
		return s.mutate(s.grammar(0))
	case 2:
		return s.heavy()
	default:
		text := s.grammar(0)
		return text[:min(len(text), 5000)]
	}
}

// call is a function with the arguments that it takes, and seldom with others.
func (s *source) call(next func() string) string {
	one := []string{"abs", "avg", "ceil", "floor", "keys", "length", "max", "min", "reverse", "sort", "sum", "to_array", "to_number", "to_string", "type", "values"}
	switch s.IntN(8) {
	case 0:
		return s.pick("contains", "ends_with", "join", "starts_with") + "(" + next() + ", " + next() + ")"
	case 1:
		return s.pick("merge", "not_null") + "(" + next() + ", " + next() + ")"
	case 2:
		return s.pick("nonsense", "abs", "map", "join") + "(" + next() + s.pick("", ", &"+s.identifier()) + ")"
	default:
		return s.pick(one...) + "(" + next() + ")"
	}
}

func (s *source) identifier() string {
	return s.pick("user", "port", "ratio", "on", "none", "pool", "min", "hosts", "users", "name", "id", "tags", "list", "a", "n", "big", `""`, `"key-7"`, "missing", `"\u0000"`)
}

func (s *source) literal() string {
	return s.pick("`1`", "`null`", "`[1,2,3]`", "`{\"a\":1}`", "'text'", "`\"x\"`", "`1e400`", "`-0.0`", "`12345678901234567890`", "''", "`[[],[[]]]`")
}

// grammar makes an expression that is right, down to a depth.
func (s *source) grammar(depth int) string {
	if depth > 6 || depth > 1 && s.IntN(3) == 0 {
		return s.pick(s.identifier(), s.literal(), "@")
	}
	next := func() string { return s.grammar(depth + 1) }
	switch s.IntN(20) {
	case 0, 1, 2:
		return s.identifier()
	case 3, 4:
		return s.identifier() + "." + s.identifier()
	case 5:
		return next() + "." + s.identifier()
	case 6:
		return next() + "[" + strconv.Itoa(s.IntN(5)-2) + "]"
	case 7:
		return next() + "[" + s.pick("*", "", "::-1", "1:", ":1", "0:9223372036854775807", "::2") + "]"
	case 8:
		return next() + "[?" + next() + s.pick("==", "!=", "<", "<=", ">", ">=", "&&", "||") + next() + "]"
	case 9:
		return next() + " | " + next()
	case 10:
		return next() + s.pick(" || ", " && ") + next()
	case 11:
		return "!" + next()
	case 12:
		return "(" + next() + ")"
	case 13:
		return "[" + next() + ", " + next() + "]"
	case 14:
		return "{x: " + next() + ", " + s.identifier() + ": " + next() + "}"
	case 15:
		return s.pick("*", "@.*", "*.*", "users[*]", "users[]", "list[*]") + s.pick("", "."+s.identifier(), "|[0]")
	case 16, 17:
		return s.call(next)
	case 18:
		return s.pick("map", "sort_by", "max_by") + s.pick("(&"+next()+", "+next()+")", "("+next()+", &"+next()+")")
	default:
		return s.literal()
	}
}

// heavy is deep, long, or multiplies what it reads.
func (s *source) heavy() string {
	n := 1 + s.IntN(100)
	if s.IntN(5) == 0 {
		n = s.IntN(4000)
	}
	if s.IntN(300) == 0 {
		n = s.IntN(500_000)
	}
	small := min(n, 1000)
	switch s.IntN(14) {
	case 0:
		return strings.Repeat("!", n) + "user"
	case 1:
		return strings.Repeat("(", n) + "user" + strings.Repeat(")", n)
	case 2:
		return "user" + strings.Repeat(".a", n)
	case 3:
		return "[" + strings.Repeat("@,", n) + "@]"
	case 4:
		return "[@,@]" + strings.Repeat("|[@,@]", small)
	case 5:
		return "users[*].[" + strings.Repeat("@,", small) + "@]|[*][]|[]"
	case 6:
		return "join('" + strings.Repeat("x", small) + "', map(&to_string(@), list))"
	case 7:
		return "users[?contains(map(&name, @), name)]"
	case 8:
		return "map(&map(&[@,@], @), list)"
	case 9:
		return "sort_by(users, &" + strings.Repeat("to_string(", min(n, 70)) + "name" + strings.Repeat(")", min(n, 70)) + ")"
	case 10:
		return "list" + strings.Repeat("[::-1]", small)
	case 11:
		return "*" + strings.Repeat(".*", small)
	case 12:
		return "merge(" + strings.Repeat("@,", small) + "@)"
	default:
		return "users[].users[]" + strings.Repeat("[]", small) + "||" + strings.Repeat("user||", small) + "user"
	}
}
