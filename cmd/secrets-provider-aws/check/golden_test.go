package check_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/cmd/secrets-provider-aws/check"
	"secrets-provider-aws/docs"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata with the current output")

// The text and JSON output for the manifests of a chart, as helm template prints them, and for common mistakes.
func TestGoldenOutput(t *testing.T) {
	for name, options := range map[string]check.Options{
		"payments": {}, "mistakes": {}, "language": {}, "rotation": {Nodes: 100, RefreshInterval: 2 * time.Minute},
	} {
		input, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		report := reportOn(t, options, string(input))
		var text, json bytes.Buffer
		if err := report.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		if err := report.WriteJSON(&json); err != nil {
			t.Fatal(err)
		}
		wantGolden(t, name+".txt", text.String())
		wantGolden(t, name+".json", json.String())
	}
}

// The guide shows the estimate of the golden file.
func TestRotation_OfTheGuideIsCurrent(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "rotation.txt"))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := docs.Blocks("check.md", "text rotation")
	if err != nil || len(blocks) != 1 {
		t.Fatalf("%d blocks: %v", len(blocks), err)
	}
	if !strings.Contains(string(golden), blocks[0]) {
		t.Errorf("docs/check.md shows another estimate than testdata/rotation.txt:\n%s", blocks[0])
	}
}

// wantGolden fails the test unless got is the content of a file in testdata.
func wantGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got; to accept it: go test ./cmd/secrets-provider-aws/check -run Golden -update):\n%s", name, diff)
	}
}
