package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"secrets-provider-aws/docs"
)

// Every link in the pages of the repository has a target, with its heading.
func TestLinks_HaveTargets(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "../*.md", "../deployment/*/README.md", "../server/testdata/*/README.md", "../test/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d pages, %v", pattern, len(found), err)
		}
		pages = append(pages, found...)
	}
	for _, page := range pages {
		for _, link := range regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`).FindAllStringSubmatch(read(t, page), -1) {
			target := page
			if link[1] != "" {
				target = filepath.Join(filepath.Dir(page), link[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, link[1])
			} else if link[2] != "" && !slices.Contains(anchors(read(t, target)), link[2]) {
				t.Errorf("%s links to %s%s, but the page has no such heading", page, link[1], link[2])
			}
		}
	}
}

// anchors are the anchors that GitHub generates from headings, and those that a page defines.
func anchors(text string) []string {
	var all []string
	for _, set := range regexp.MustCompile(`<a id="([^"]+)"></a>`).FindAllStringSubmatch(text, -1) {
		all = append(all, "#"+set[1])
	}
	for line := range strings.Lines(text) {
		if heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			words := strings.Fields(regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(heading), ""))
			all = append(all, "#"+strings.Join(words, "-"))
		}
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTable_MissingTableIsAnError(t *testing.T) {
	for file, heading := range map[string]string{"none.md": "Flags", "reference.md": "Flagz", "check.md": "What it sees"} {
		if rows, err := docs.Table(file, heading); err == nil {
			t.Errorf("%s has a table below %q: %q", file, heading, rows)
		}
	}
}

// The files, folders and tests in the pages for contributors exist.
func TestContributing_NamesExist(t *testing.T) {
	tests := map[string]bool{}
	for file, parsed := range goFiles(t) {
		for _, name := range testsOf(file, parsed) {
			tests[name] = true
		}
	}
	for _, page := range []string{"../CONTRIBUTING.md", "architecture.md", "benchmarks.md"} {
		found := 0
		for _, code := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(read(t, page), -1) {
			name := code[1]
			switch top, _, isPath := strings.Cut(name, "/"); {
			case regexp.MustCompile(`^Test\w+$`).MatchString(name):
				found++
				if !tests[name] {
					t.Errorf("%s names the test %s, which does not exist", page, name)
				}
			case isPath && isFolder(filepath.Join("..", top)) && !slices.Contains([]string{"bin", "dist"}, top):
				found++
				if files, err := filepath.Glob(filepath.Join("..", name)); err != nil || len(files) == 0 {
					t.Errorf("%s names %s, which does not exist", page, name)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s names no file and no test: this test no longer finds them", page)
		}
	}
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
