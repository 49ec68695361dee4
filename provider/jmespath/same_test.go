package jmespath

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestK42_SameAsGoJMESPath generates expressions from the grammar, which a fuzzer of bytes rarely does. It compares the
// results with those of the library of AWS's own provider.
func TestK42_SameAsGoJMESPath(t *testing.T) {
	const value = `{"a":{"a":1,"b":"x","c":[1,2,3],"d":null},"b":[{"a":2,"b":"y","c":[]},{"a":1,"b":"x","c":["z"]},{"b":true}],` +
		`"c":["p","q","","p"],"d":[[1,[2]],[3],4,null],"e":2.5,"f":"text","g":false}`
	d := parsed(t, value)
	g := generator{rand.New(rand.NewPCG(1, 2))}
	compared := 0
	for range 15_000 {
		text := g.expression(4)
		want, oracleErr := classic(text, []byte(value))
		if oracleErr != nil {
			continue // an error, a panic or NaN
		}
		e, err := Compile(text)
		if err != nil {
			t.Fatalf("%s: %v, but go-jmespath returns %v", text, err, want)
		}
		if uses(e.root, different) {
			continue
		}
		compared++
		got, err := evaluate(text, d)
		if err != nil {
			t.Fatalf("%s: %v, but go-jmespath returns %v", text, err, want)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s: -go-jmespath +ours:\n%s", text, diff)
		}
	}
	if compared < 2_500 {
		t.Errorf("only %d results compared", compared)
	}
}

// generator generates expressions. Most of them are valid.
type generator struct{ *rand.Rand }

func (g generator) of(texts ...string) string { return texts[g.IntN(len(texts))] }

func (g generator) name() string { return g.of("a", "b", "c", "d", "e", "f", "g", `"a"`, "missing") }

func (g generator) expression(depth int) string {
	if depth == 0 {
		return g.of(g.name(), "@", "`1`", "'x'", "`null`", "`[1,[2]]`", "`{\"a\": 0.5}`")
	}
	x := func() string { return g.expression(depth - 1) }
	switch g.IntN(16) {
	case 0, 1, 2:
		return x() + "." + g.name()
	case 3:
		return x() + g.of("[0]", "[-1]", "[*]", "[]", "[1:]", "[::-1]", "[:-1:2]", "[*].a", "[].b", "[*].c[0]", "[*][0]")
	case 4:
		return x() + "[?" + x() + "]" + g.of("", ".a", ".c[]", "[0]", "[]", " | [0]")
	case 5:
		return x() + g.of(" | ", " || ", " && ", "||") + x()
	case 6:
		return x() + g.of("==", "!=", "<", "<=", " > ", ">=") + x()
	case 7:
		return g.of("!", "!", "!!") + x()
	case 8:
		return "(" + x() + ")" + g.of("", ".a", "[0]", "[]", "[*].b")
	case 9:
		return g.of("", "a.", "b[*].", "b[].") + "[" + x() + "," + x() + "]"
	case 10:
		return g.of("", "a.", "b[*].") + "{a: " + x() + ", b: " + x() + "}"
	case 11:
		return x() + g.of(".type(@)", ".to_string(@)", ".not_null(@, 'n')", ".length(@)", ".to_array(@)[0]")
	case 12, 13, 14:
		return g.call(x)
	default:
		return g.expression(0)
	}
}

func (g generator) call(x func() string) string {
	names := []string{"type", "not_null", "length", "map", "sort", "max_by", "join", "contains", "to_string", "reverse", "min", "merge", "abs", "to_array", "starts_with", "min_by", "max", "ends_with"}
	name := g.of(names...)
	f := functions[name]
	var args []string
	for i, kinds := range f.arguments {
		switch {
		case kinds == isReference:
			args = append(args, "&"+x())
		case g.IntN(2) == 0:
			args = append(args, x())
		case i == 0 && kinds&isString != 0:
			args = append(args, g.of("f", "'x'", "a.b"))
		case kinds&isObject != 0:
			args = append(args, g.of("a", "@", "b[0]"))
		case kinds&isNumber != 0:
			args = append(args, g.of("e", "`-1.5`"))
		default:
			args = append(args, g.of("b", "c", "d", "b[*].a", "a.c"))
		}
	}
	return fmt.Sprintf("%s(%s)", name, strings.Join(args, ", "))
}
