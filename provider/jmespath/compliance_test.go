package jmespath

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// complianceCount is the number of cases in the suite. The test fails if it reads fewer.
const complianceCount = 862

// TestK42_JMESPathCompliance runs the compliance suite of jmespath/go-jmespath v0.4.0, the library of AWS's
// own provider, from the module cache.
func TestK42_JMESPathCompliance(t *testing.T) {
	count := 0
	for _, file := range complianceFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var suites []struct {
			Given json.RawMessage
			Cases []struct {
				Expression string
				Result     json.RawMessage
				Error      string
			}
		}
		if err := json.Unmarshal(text, &suites); err != nil {
			t.Fatal(err)
		}
		for _, suite := range suites {
			d, err := Parse(suite.Given)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range suite.Cases {
				count++
				got, err := evaluate(c.Expression, d)
				switch {
				case c.Error != "" && err == nil:
					t.Errorf("%s: %s: got %v, want an error (%s)", filepath.Base(file), c.Expression, got, c.Error)
				case c.Error == "" && err != nil:
					t.Errorf("%s: %s: %v", filepath.Base(file), c.Expression, err)
				case c.Error == "":
					if diff := cmp.Diff(floats(t, c.Result), got); diff != "" {
						t.Errorf("%s: %s (-want +got):\n%s", filepath.Base(file), c.Expression, diff)
					}
				}
			}
		}
	}
	if count != complianceCount {
		t.Errorf("the suite has %d cases, expected %d", count, complianceCount)
	}
}

// evaluate returns the result as a Go value with numbers as float64. The result may be null.
func evaluate(text string, d *Document) (any, error) {
	e, err := Compile(text)
	if err != nil {
		return nil, err
	}
	run := evaluation{budget: maxCost}
	v, err := run.eval(e.root, d.value)
	if err != nil {
		return nil, err
	}
	w := newWriter(false)
	if err := w.value(v); err != nil {
		return nil, err
	}
	var decoded any
	err = json.Unmarshal(w.Bytes(), &decoded)
	return decoded, err
}

func floats(t *testing.T, text []byte) (v any) {
	t.Helper()
	if text == nil {
		return nil
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func complianceFiles(t *testing.T) []string {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/jmespath/go-jmespath").Output()
	files, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "compliance", "*.json"))
	if err != nil || len(files) == 0 {
		t.Skipf("SKIPPED: the compliance suite of jmespath/go-jmespath is not in the module cache: %v", err)
	}
	return files
}
