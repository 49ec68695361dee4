package document_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"secrets-provider-aws/provider/document"
)

var identifiers = rapid.StringMatching(`x_[A-Za-z0-9_]{0,8}`) // x_: a name such as PATH or UID would disturb the shell

// withoutNUL draws values that a variable can hold.
func withoutNUL() *rapid.Generator[string] {
	return awkward().Filter(func(s string) bool { return !strings.Contains(s, "\x00") })
}

func TestL3_EnvQuoting(t *testing.T) {
	for value, want := range map[string]string{
		"app": "app", "": "", "postgres://u@h:5432/db?x": "'postgres://u@h:5432/db?x'", "a=b": "a=b", "+/9=": "+/9=", "100%": "100%",
		"a b": "'a b'", `pa$$"w\ord` + "`": `'pa$$"w\ord` + "`'", "line 1\nline 2\n": "'line 1\nline 2\n'", "it's": `"it's"`,
		`'"\$` + "`": `"'\"\\\$` + "\\`\"", "~": "'~'", "#a": "'#a'", " a ": "' a '", "é": "'é'", "*": "'*'",
	} {
		got := write(t, document.Of(map[string][]byte{"K": []byte(value)}), document.Env)
		if got != "K="+want+"\n" {
			t.Errorf("%q is written as %q, want %s", value, got, want)
		}
	}
}

// A POSIX shell reads back what was written: values, and nothing else happens.
func TestL3_EnvInShells(t *testing.T) {
	found := 0
	for _, shell := range []string{"sh", "dash", "bash", "busybox"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		found++
		t.Run(shell, func(t *testing.T) {
			dir := t.TempDir()
			rapid.Check(t, func(rt *rapid.T) {
				p, want := object(rt, identifiers, withoutNUL())
				if got := inShell(rt, path, dir, write(t, p, document.Env), slices.Sorted(maps.Keys(want))); !maps.Equal(got, want) {
					rt.Fatalf("the shell reads %q, want %q", got, want)
				}
			})
		})
	}
	if found == 0 {
		t.Error("there is no shell")
	}
}

// fataler is the part of testing.T and rapid.T that a helper needs.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// inShell gives the values of names after `. file`.
func inShell(t fataler, shell, dir, content string, names []string) map[string]string {
	t.Helper()
	file := filepath.Join(dir, "env")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	script := "set -u; . '" + file + "'"
	for _, name := range names {
		script += fmt.Sprintf("; printf '%%s\\000' \"$%s\"", name)
	}
	args := []string{"-c", script}
	if filepath.Base(shell) == "busybox" {
		args = append([]string{"sh"}, args...)
	}
	var errors bytes.Buffer
	cmd := exec.Command(shell, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, []string{"LC_ALL=C"}, &errors
	out, err := cmd.Output()
	if err != nil || errors.Len() > 0 {
		t.Fatalf("%v: %s of\n%q", err, errors.String(), content)
	}
	got := map[string]string{}
	for i, value := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if i < len(names) {
			got[names[i]] = value
		}
	}
	return got
}

// systemd reads every document as the shell does. docker reads the values alike that stand without quotes.
func TestL3_EnvInSystemdAndDocker(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, want := object(rt, identifiers, withoutNUL())
		content := write(t, p, document.Env)
		if diff := cmp.Diff(want, systemd(content)); diff != "" {
			rt.Fatalf("systemd (-want +got):\n%s", diff)
		}
		for name, value := range want {
			if !plainRE.MatchString(value) {
				continue
			}
			got, err := docker(write(t, document.Of(map[string][]byte{name: []byte(value)}), document.Env))
			if err != nil || len(got) != 1 || got[name] != value {
				rt.Fatalf("docker reads %q (%v), want %q", got, err, value)
			}
		}
	})
}

// plainRE matches the values that docker reads.
var plainRE = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]*$`)

// docker does not know quotes: it reads them as parts of the value. docs/language.md says so.
func TestL3_DockerReadsQuotes(t *testing.T) {
	got, err := docker(write(t, pairs(t, `{"A":"a b","B":"c"}`), document.Env))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"A": "'a b'", "B": "c"}, got); diff != "" {
		t.Errorf("docker (-want +got):\n%s", diff)
	}
}

// docker reads a file by the rules of docker run --env-file (docs.docker.com, "Set environment variables"): lines
// of NAME=value, a # at the beginning of a line for a comment, white space before a name ignored, and values as they are.
func docker(content string) (map[string]string, error) {
	got := map[string]string{}
	for line := range strings.SplitSeq(strings.TrimSuffix(content, "\n"), "\n") {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, set := strings.Cut(line, "=")
		if name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("a line without a name: %q", line)
		}
		if set {
			got[name] = value
		}
	}
	return got, nil
}

// systemd reads a file by the rules of EnvironmentFile= (systemd.exec(5)): in double quotes a backslash escapes
// " \ ` $ and ends a line; single quotes hold anything; quoted parts that follow each other form one value; outside of quotes
// a backslash escapes any character, and white space at the end is dropped.
func systemd(content string) map[string]string {
	got := map[string]string{}
	for at := 0; at < len(content); {
		switch content[at] {
		case '\n', '\r', ' ', '\t':
			at++
			continue
		case '#', ';':
			for at < len(content) && content[at] != '\n' {
				at++
			}
			continue
		}
		name, rest, _ := strings.Cut(content[at:], "=")
		value, length := systemdValue(rest)
		got[strings.TrimRight(name, " \t")] = value
		at = len(content) - len(rest) + length
	}
	return got
}

// systemdValue reads a value, and gives its length in text.
func systemdValue(text string) (value string, length int) {
	var b strings.Builder
	i := 0
	next := func() byte { i++; return text[i-1] }
	for i < len(text) { // before a value, or after a quoted part
		switch c := next(); c {
		case '\n', '\r':
			return b.String(), i
		case ' ', '\t':
		case '\'':
			for c = next(); c != '\''; c = next() {
				b.WriteByte(c)
			}
		case '"':
			for c = next(); c != '"'; c = next() {
				if c != '\\' {
					b.WriteByte(c)
					continue
				}
				if c = next(); strings.IndexByte("\"\\`$", c) < 0 && c != '\n' {
					b.WriteByte('\\')
				}
				if c != '\n' {
					b.WriteByte(c)
				}
			}
		default: // without quotes, to the end of the line
			i--
			kept := b.Len()
			for i < len(text) {
				switch c := next(); c {
				case '\n', '\r':
					return b.String()[:max(kept, len(strings.TrimRight(b.String(), " \t")))], i
				case '\\':
					if c = next(); c != '\n' && c != '\r' {
						b.WriteByte(c)
					}
					kept = b.Len()
				default:
					b.WriteByte(c)
				}
			}
		}
	}
	return b.String(), i
}
