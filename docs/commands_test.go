package docs_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/docs"
)

// Each block of commands in the README and the guides is run by the end-to-end tests, or says why not.
func TestCommands_AreRunOrMarked(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"../README.md", "*.md", "../deployment/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d pages, %v", pattern, len(found), err)
		}
		for _, page := range found {
			if !strings.HasPrefix(page, "../") {
				page = "../docs/" + page
			}
			pages = append(pages, strings.TrimPrefix(page, "../"))
		}
	}
	executed := append(docs.Executed(), docs.Runbooks)
	total, marked := 0, 0
	for _, page := range pages {
		blocks, err := docs.Commands(read(t, "../"+page))
		if err != nil {
			t.Errorf("%s: %v", page, err)
			continue
		}
		for _, b := range blocks {
			if b.File != "" {
				continue
			}
			total++
			if b.NotRun != "" {
				marked++
			} else if !slices.Contains(executed, page) {
				t.Errorf("%s:%d: no test runs these commands: list the page in docs.Executed, or write <!-- not run: REASON --> above them:\n%s", page, b.Line, b.Text)
			}
		}
	}
	for _, page := range executed {
		if !slices.Contains(pages, page) {
			t.Errorf("docs.Executed lists %s, which does not exist", page)
		}
	}
	t.Logf("%d blocks of commands: %d to run, %d marked", total, total-marked, marked)
	if total-marked < 10 {
		t.Errorf("%d blocks to run: this test no longer finds them", total-marked)
	}
}

func TestCommands_Blocks(t *testing.T) {
	page := strings.Join([]string{
		"# Page", "", "Text:", "", "```sh", "make chart", "helm install \\", "  release", "```", "",
		"1. In a list:", "", "   <!-- not run: it needs EKS -->", "", "   ```sh", "   aws eks list-clusters", "     --more", "   ```", "",
		"<!-- file: trust.json -->", "```json", "{}", "```", "", "```yaml", "kind: Secret", "```", "", "    reads = nodes × objects", "",
	}, "\n")
	want := []docs.Block{
		{Line: 5, Text: "make chart\nhelm install \\\n  release\n"},
		{Line: 15, Text: "aws eks list-clusters\n  --more\n", NotRun: "it needs EKS"},
		{Line: 21, Text: "{}\n", File: "trust.json"},
	}
	got, err := docs.Commands(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
}

func TestCommands_OverlookedBlocksAreErrors(t *testing.T) {
	for page, want := range map[string]string{
		"Run:\n\n    make demo\n":                               "line 3: commands in an indented block: put them in a fence of sh",
		"```\nmake demo\n```\n":                                 `line 1: a fence of "": write sh for commands, or the language, or text`,
		"```bash\nmake demo\n```\n":                             `line 1: a fence of "bash": write sh for commands, or the language, or text`,
		"```sh\nmake demo\n":                                    "line 1: the block has no end",
		"<!-- not run: no EKS -->\n\nText.\n":                   `line 3: no block below the mark "no EKS"`,
		"<!-- not run: no EKS -->\n\n```yaml\nkind: Pod\n```\n": `line 3: "no EKS" stands above a block of yaml, not of sh`,
	} {
		if got, err := docs.Commands(page); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, %v, want the error %s", page, got, err, want)
		}
	}
}
