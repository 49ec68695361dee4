package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/cmd/secrets-provider-aws/check"
)

// write makes files, by their names below a new directory.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A directory is read recursively, and its manifests belong together; what is no manifest is nobody's fault.
func TestDirectoriesAreReadRecursively(t *testing.T) {
	dir := write(t, map[string]string{
		"class.yml":           rightClass,
		"apps/one/pod.yaml":   aPod(rightVolume...),
		"apps/account.yaml":   rightAccount,
		"apps/values.yaml":    "replicas: 3\n",
		"apps/list.json":      `{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "ConfigMap"}]}`,
		"apps/empty.yaml":     "# nothing\n---\n---\n",
		"apps/scalar.yaml":    "text\n",
		"README.md":           "kind: [\n",
		".git/broken.yaml":    "kind: [\n",
		"apps/two/class.json": `{"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass", "metadata": {"name": "two", "namespace": "payments"}, "spec": {"provider": "aws", "parameters": {"objects": "[{\"objectName\": \"x\"}]"}}}`,
	})
	report, err := check.Manifests([]string{dir}, nil, check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range report.Findings {
		got = append(got, strings.TrimPrefix(f.String(), dir+"/"))
	}
	want := []string{`apps/two/class.json:1:190: error: two: objects[0]: "x" has no objectType: set it to secretsmanager or ssmparameter, or set objectName to the ARN`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if len(report.Workloads) != 1 || len(report.Workloads[0].Volumes[0].Files) != 1 || len(report.Classes) != 2 {
		t.Errorf("%d classes and the workloads %+v, want 2 classes and one workload with a file", len(report.Classes), report.Workloads)
	}
}

func TestFindingsAreInTheOrderOfTheFiles(t *testing.T) {
	dir := write(t, map[string]string{"b.yaml": "kind: [\n", "a.yaml": "a: [\n---\nb: [\n"})
	report, err := check.Manifests([]string{filepath.Join(dir, "b.yaml"), filepath.Join(dir, "a.yaml"), check.Stdin}, strings.NewReader("c: [\n"), check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range report.Findings {
		got = append(got, strings.SplitN(strings.TrimPrefix(f.String(), dir+"/"), ":", 3)[0]+":"+strings.SplitN(strings.TrimPrefix(f.String(), dir+"/"), ":", 3)[1])
	}
	if diff := cmp.Diff([]string{"b.yaml:1", "a.yaml:1", "a.yaml:3", "<stdin>:1"}, got); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

func TestUnreadableInput(t *testing.T) {
	if _, err := check.Manifests([]string{"/nowhere/a.yaml"}, nil, check.Options{}); err == nil || !strings.Contains(err.Error(), "/nowhere/a.yaml") {
		t.Errorf("a file that is missing: %v", err)
	}
	if _, err := check.Manifests([]string{check.Stdin}, zeros{}, check.Options{}); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("endless input: %v", err)
	}
	if _, err := check.Manifests([]string{check.Stdin}, strings.NewReader(strings.Repeat("---\na: b\n", 20_001)), check.Options{}); err == nil || !strings.Contains(err.Error(), "more than 20000 documents") {
		t.Errorf("too many documents: %v", err)
	}
	for _, o := range []check.Options{{Region: "Mumbai"}, {Account: "1"}, {OIDCIssuer: "a b"}} {
		if _, err := check.Manifests(nil, nil, o); err == nil || !strings.Contains(err.Error(), " is not ") {
			t.Errorf("options %+v: %v", o, err)
		}
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A text that stands for much more than it writes is refused, however it is woven.
func TestHostileAliases(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'i'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+", ", 10) + "]\n"
	}
	for name, text := range map[string]string{
		"a bomb":  bomb + "kind: SecretProviderClass\n",
		"a loop":  "kind: List\nitems: &a [*a]\n",
		"a merge": "&a\nkind: List\nitems: [x]\n<<: *a\n",
	} {
		report := judged(t, check.Options{}, text)
		if len(report.Findings) != 1 || !strings.Contains(report.Findings[0].Message, "repeats too much by YAML aliases") {
			t.Errorf("%s: findings %q", name, said(report))
		}
	}
}

func TestFindingsAreBounded(t *testing.T) {
	report := judged(t, check.Options{}, strings.Repeat("kind: [\n---\n", 1500))
	if n := len(report.Findings); n != 1001 || report.Findings[1000].Message != "and 500 more findings" {
		t.Errorf("%d findings, the last %q, want 1000 and the number of the rest", n, report.Findings[len(report.Findings)-1].Message)
	}
}

// What we publish passes our own judgment, all of it together.
func TestExamplesPass(t *testing.T) {
	report, err := check.Manifests([]string{"../../../deployment/examples"}, nil, check.Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) > 0 || len(report.Classes) < 9 {
		t.Errorf("%d classes with the findings %q, want every example without one", len(report.Classes), said(report))
	}
}
