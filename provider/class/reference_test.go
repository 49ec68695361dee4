package class

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/docs"
)

// docs/reference.md documents exactly the parameters that Parse reads.
func TestReference_Parameters(t *testing.T) {
	if diff := cmp.Diff(slices.Sorted(slices.Values(knownParams)), inFirstColumn(t, "Parameters")); diff != "" {
		t.Errorf("parameters (-code +docs/reference.md):\n%s", diff)
	}
}

// docs/reference.md documents exactly the fields that Parse reads.
func TestReference_Fields(t *testing.T) {
	places := map[string]string{"decodeEntry": "", "decodeJMESPath": "jmesPath[].", "decodeFailover": "failoverObject."}
	var read []string
	for function, names := range fieldNames(t) {
		prefix, ok := places[function]
		if !ok {
			t.Errorf("%s reads fields, but this test does not know of which entry", function)
		}
		for _, name := range names {
			read = append(read, prefix+name)
		}
	}
	slices.Sort(read)
	if diff := cmp.Diff(read, inFirstColumn(t, "Fields of `objects`")); diff != "" {
		t.Errorf("fields (-code +docs/reference.md):\n%s", diff)
	}
}

func inFirstColumn(t *testing.T, heading string) []string {
	t.Helper()
	rows, err := docs.Table("reference.md", heading)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, row := range rows {
		names = append(names, docs.Code(row[0])...)
	}
	slices.Sort(names)
	return names
}

// fieldNames returns the names of the fields, by the function that reads them. It takes them from the maps that the
// functions pass to decodeMapping, the only place that lists them.
func fieldNames(t *testing.T) map[string][]string {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][]string{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(function, func(n ast.Node) bool {
				if literal, ok := n.(*ast.CompositeLit); ok && ofFields(literal.Type) {
					for _, element := range literal.Elts {
						names[function.Name.Name] = append(names[function.Name.Name], keyOf(t, element))
					}
				}
				return true
			})
		}
	}
	return names
}

// ofFields reports whether a type is map[string]*scalar or map[string]func(string, *yaml.Node).
func ofFields(of ast.Expr) bool {
	m, ok := of.(*ast.MapType)
	if !ok {
		return false
	}
	if _, ok := m.Value.(*ast.FuncType); ok {
		return true
	}
	pointer, ok := m.Value.(*ast.StarExpr)
	if !ok {
		return false
	}
	to, ok := pointer.X.(*ast.Ident)
	return ok && to.Name == "scalar"
}

func keyOf(t *testing.T, element ast.Expr) string {
	t.Helper()
	pair, ok := element.(*ast.KeyValueExpr)
	if !ok {
		t.Fatalf("%T is not a key and value of a map", element)
	}
	literal, ok := pair.Key.(*ast.BasicLit)
	if !ok {
		t.Fatalf("%T is not the name of a field", pair.Key)
	}
	name, err := strconv.Unquote(literal.Value)
	if err != nil {
		t.Fatal(err)
	}
	return name
}
