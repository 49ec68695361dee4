package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"secrets-provider-aws/docs"
)

// moduleRoot is the path of the repository's root from this package.
const moduleRoot = ".."

var (
	ruleTest = regexp.MustCompile(`^Test([DKIAFRTL][0-9]+)_`)
	ruleCite = regexp.MustCompile(`\brules? ([DKIAFRTL][0-9]+)\b`)
)

// A test proves each rule of contract.md and has the rule's id in its name. Every rule that a test or a comment names
// exists. Tests of every build tag count.
func TestContract_RulesAndTestsName(t *testing.T) {
	rules, err := docs.Rules()
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) < 100 {
		t.Fatalf("only %d rules: the test does not read contract.md completely", len(rules))
	}
	proven := map[string]bool{}
	for file, parsed := range goFiles(t) {
		for _, name := range testsOf(file, parsed) {
			if id := ruleTest.FindStringSubmatch(name); id != nil {
				proven[id[1]] = true
				if rules[id[1]] == "" {
					t.Errorf("%s: %s names the rule %s, which is not in docs/contract.md", file, name, id[1])
				}
			}
		}
		for _, cited := range ruleCite.FindAllStringSubmatch(comments(parsed), -1) {
			if rules[cited[1]] == "" {
				t.Errorf("%s: a comment cites rule %s, which is not in docs/contract.md", file, cited[1])
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rules)) {
		if !proven[id] {
			t.Errorf("rule %s has no test: name one Test%s_<What>, or remove the rule from docs/contract.md", id, id)
		}
	}
}

var (
	url       = regexp.MustCompile(`https?://\S+`)
	document  = regexp.MustCompile(`[\w./-]*[\w-]\.md\b`)
	elsewhere = regexp.MustCompile(`\b(?:CONTRACT|DESIGN|BENCH)\b|\bSTYLE\.md`)
	folder    = regexp.MustCompile(`\bshared/`)
	oldName   = regexp.MustCompile(`^Test(Contract[A-D][0-9]*|Design)_`)
)

// Every document that a comment, a test name, a page or a program cites is in the repository, so a reader can find it.
func TestContract_CitedDocumentsExist(t *testing.T) {
	var documents []string
	prose, code := map[string]string{}, map[string]string{} // file → text: pages and comments in prose, other texts for people in code
	walk(t, func(file string) {
		switch ext := path.Ext(file); {
		case ext == ".md":
			documents = append(documents, "/"+file)
			prose[file] = read(t, filepath.Join(moduleRoot, file))
		case ext == ".yaml", ext == ".tpl", ext == ".go" && !strings.HasSuffix(file, "_test.go"), path.Base(file) == "Makefile":
			code[file] = read(t, filepath.Join(moduleRoot, file))
		}
	})
	for file, parsed := range goFiles(t) {
		prose[file] = comments(parsed)
		for _, name := range testsOf(file, parsed) {
			if oldName.MatchString(name) {
				t.Errorf("%s: %s cites a document that is not in the repository: name the test after a rule of docs/contract.md", file, name)
			}
		}
	}
	if len(prose) < 100 || len(code) < 100 || len(documents) < 5 {
		t.Fatalf("only %d and %d files and %d documents: the test did not find the repository", len(prose), len(code), len(documents))
	}
	wrong := map[string]bool{}
	for _, texts := range []map[string]string{prose, code} {
		for file, text := range texts {
			text = url.ReplaceAllString(text, "")
			for _, cited := range elsewhere.FindAllString(text, -1) {
				wrong[file+" cites "+cited] = true
			}
			for _, cited := range document.FindAllString(text, -1) {
				end := "/" + strings.TrimLeft(strings.ReplaceAll(cited, "../", ""), "./")
				if !slices.ContainsFunc(documents, func(d string) bool { return strings.HasSuffix(d, end) }) {
					wrong[file+" cites "+cited] = true
				}
			}
		}
	}
	for file, text := range prose { // in code this can be the name of a secret
		if cited := folder.FindString(text); cited != "" {
			wrong[file+" cites "+cited] = true
		}
	}
	for _, citation := range slices.Sorted(maps.Keys(wrong)) {
		t.Errorf("%s, which is not in the repository: cite a rule of docs/contract.md by its id, or an existing page", citation)
	}
}

// goFiles parses every Go file of the module, by path.
func goFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	walk(t, func(file string) {
		if path.Ext(file) != ".go" {
			return
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(moduleRoot, file), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[file] = parsed
	})
	return files
}

// comments is the text of a file's comments.
func comments(parsed *ast.File) string {
	var text strings.Builder
	for _, group := range parsed.Comments {
		for _, comment := range group.List {
			text.WriteString(comment.Text + "\n")
		}
	}
	return text.String()
}

// testsOf are the names of the test functions of a file.
func testsOf(file string, parsed *ast.File) []string {
	if !strings.HasSuffix(file, "_test.go") {
		return nil
	}
	var names []string
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
			names = append(names, f.Name.Name)
		}
	}
	return names
}

// walk calls do with the path of each file of the repository, relative to its root and with slashes. It skips build
// output and hidden files.
func walk(t *testing.T, do func(file string)) {
	t.Helper()
	err := filepath.WalkDir(moduleRoot, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, err := filepath.Rel(moduleRoot, name)
		if err != nil {
			return err
		}
		file = filepath.ToSlash(file)
		switch hidden := strings.HasPrefix(entry.Name(), ".") && file != "." && file != ".github"; {
		case entry.IsDir() && (hidden || file == "bin" || file == "dist"):
			return fs.SkipDir
		case !entry.IsDir() && !hidden:
			do(file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
