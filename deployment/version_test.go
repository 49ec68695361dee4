package deployment_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// chartVersion reads the version of the project: it is that of the chart.
func chartVersion(t *testing.T) (version, appVersion string) {
	t.Helper()
	var chart struct {
		Version    string
		AppVersion string `yaml:"appVersion"`
	}
	decodeFile(t, "chart/Chart.yaml", &chart)
	return chart.Version, chart.AppVersion
}

func TestVersion_IsTheSameEverywhere(t *testing.T) {
	version, appVersion := chartVersion(t)
	if version != appVersion {
		t.Errorf("Chart.yaml has version %s and appVersion %s", version, appVersion)
	}

	manifests, err := os.ReadFile("manifests/secrets-provider-aws.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tags := regexp.MustCompile(`(?m)^ +(?:app\.kubernetes\.io/version: |image: ".*:)([^":\n]+)"?$`).FindAllSubmatch(manifests, -1)
	if len(tags) < 5 {
		t.Errorf("%d versions in the manifests, want that of the image and of each object", len(tags))
	}
	for _, tag := range tags {
		if string(tag[1]) != version {
			t.Errorf("the manifests have version %s, Chart.yaml has %s: run make manifests", tag[1], version)
		}
	}

	changes, err := os.ReadFile("../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	if section := "\n## [" + version + "]"; !strings.Contains(version, "-") && !strings.Contains(string(changes), section) {
		t.Errorf("CHANGELOG.md has no section [%s]", version)
	}

	printed := output(t, "..", "./.ci/version")
	if plain, _, _ := strings.Cut(printed, "+"); plain != version {
		t.Errorf(".ci/version says %s, Chart.yaml has %s", printed, version)
	}
	var values struct{ Image struct{ Repository string } }
	decodeFile(t, "chart/values.yaml", &values)
	recipes := output(t, "..", "make", "--dry-run", "build", "image", "chart", "HELM=helm")
	for _, want := range []string{
		"-X main.version=" + printed + "'", // the binary
		"-name '" + values.Image.Repository + ":" + strings.ReplaceAll(printed, "+", "_") + "'", // the image that the chart names
		"--version '" + printed + "' --app-version '" + printed + "'",                           // the chart
	} {
		if !strings.Contains(recipes, want) {
			t.Errorf("make build image chart lacks %s:\n%s", want, recipes)
		}
	}
}

// .ci/version adds the commit to the version of the chart, except at the commit's own tag.
func TestVersion_FollowsTheTag(t *testing.T) {
	dir := t.TempDir()
	script, err := os.ReadFile("../.ci/version")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ".ci", "version"), script, 0o755)
	setVersion := func(version string) {
		write(t, filepath.Join(dir, "deployment", "chart", "Chart.yaml"), []byte("version: "+version+"\nappVersion: "+version+"\n"), 0o600)
	}
	git := func(arguments ...string) string {
		return output(t, dir, "git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com"}, arguments...)...)
	}
	var got []string
	see := func() { got = append(got, output(t, dir, filepath.Join(dir, ".ci", "version"))) }

	setVersion("1.2.3")
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(dir))
	see() // no git
	git("init", "--quiet")
	git("add", ".")
	git("commit", "--quiet", "--message", "one")
	commit := git("rev-parse", "--short=12", "HEAD")
	see() // no tag
	git("tag", "v1.2.2")
	see() // another version's tag
	git("tag", "v1.2.3")
	see() // its tag
	setVersion("1.3.0-rc.1")
	see() // uncommitted
	git("tag", "v1.3.0-rc.1")
	see() // tagged, but uncommitted
	want := []string{"1.2.3", "1.2.3+" + commit, "1.2.3+" + commit, "1.2.3", "1.3.0-rc.1+" + commit + ".dirty", "1.3.0-rc.1+" + commit + ".dirty"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func output(t *testing.T, dir, program string, arguments ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, arguments...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MAKEFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return strings.TrimSpace(string(out))
}
