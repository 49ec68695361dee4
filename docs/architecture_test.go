package docs_test

import (
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/docs"
)

var update = flag.Bool("update", false, "rewrite the table of packages in architecture.md")

const (
	module     = "secrets-provider-aws"
	tableBegin = "<!-- packages: go test ./docs -run Layout -update -->\n"
	tableEnd   = "<!-- end of packages -->\n"
)

// The layout in architecture.md lists each package of the module, with the first sentence of its documentation and
// its imports from the module.
func TestArchitecture_LayoutMatchesTheCode(t *testing.T) {
	const page = "architecture.md"
	text := read(t, page)
	before, rest, ok := strings.Cut(text, tableBegin)
	old, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no table between %q and %q", page, tableBegin, tableEnd)
	}
	table := layout(t, moduleRoot)
	if *update {
		if err := os.WriteFile(page, []byte(before+tableBegin+table+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(table, "\n"), strings.Split(old, "\n")); diff != "" {
		t.Errorf("layout (-code +%s); run the test with -update to fix it:\n%s", page, diff)
	}
}

// Both pages list the same codes in the same order. A test in server compares reference.md with the code.
func TestArchitecture_CodesMatchTheReference(t *testing.T) {
	var codes [2][][]string
	for i, at := range [][2]string{{"reference.md", "Errors"}, {"architecture.md", "Errors and codes"}} {
		rows, err := docs.Table(at[0], at[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			codes[i] = append(codes[i], row[:2])
		}
	}
	if diff := cmp.Diff(codes[0], codes[1]); diff != "" {
		t.Errorf("kinds and codes (-reference.md +architecture.md):\n%s", diff)
	}
}

// layout is the table of the packages below root, in the order of their folders.
func layout(t *testing.T, root string) string {
	t.Helper()
	var rows strings.Builder
	rows.WriteString("| folder | its one job | imports of ours |\n|---|---|---|\n")
	err := filepath.WalkDir(root, func(dir string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if dir != root && isOutside(dir, entry.Name()) {
			return filepath.SkipDir
		}
		row, err := packageRow(root, dir)
		rows.WriteString(row)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows.String()
}

// isOutside reports whether a folder and those below it contain no package of the module.
func isOutside(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil || strings.HasPrefix(name, ".") || slices.Contains([]string{"testdata", "bin", "dist"}, name)
}

// packageRow is the row for the package in dir, empty if there is none.
func packageRow(root, dir string) (string, error) {
	tags := build.Default
	tags.BuildTags = []string{"e2e"}
	p, err := tags.ImportDir(dir, 0)
	if none := (*build.NoGoError)(nil); errors.As(err, &none) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	imports := p.Imports
	if len(imports) == 0 { // the package has only tests
		imports = slices.Concat(p.TestImports, p.XTestImports)
	}
	folder, err := filepath.Rel(root, dir)
	if err != nil {
		return "", err
	}
	synopsis, err := synopsis(dir, slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("| `%s` | %s | %s |\n", filepath.ToSlash(folder), synopsis, ours(imports)), nil
}

// synopsis is the first sentence of a package's documentation, without its subject "Package auth".
func synopsis(dir string, files []string) (string, error) {
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return "", err
		}
		if text := firstSentence(file); text != "" {
			return text, nil
		}
	}
	return "", fmt.Errorf("%s: no file documents the package", dir)
}

func firstSentence(file *ast.File) string {
	text := new(doc.Package).Synopsis(file.Doc.Text())
	for _, kind := range []string{"Package ", "Command "} {
		if said, ok := strings.CutPrefix(text, kind); ok {
			_, text, _ = strings.Cut(said, " ")
		}
	}
	return strings.ReplaceAll(strings.TrimRight(text, ".:"), "|", `\|`)
}

// ours lists the packages of the module among imports, or a dash for none.
func ours(imports []string) string {
	var names []string
	for _, name := range imports {
		if of, ok := strings.CutPrefix(name, module+"/"); ok {
			names = append(names, of)
		}
	}
	if len(names) == 0 {
		return "–"
	}
	slices.Sort(names)
	return "`" + strings.Join(slices.Compact(names), "`, `") + "`"
}
