package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestDemo(t *testing.T) {
	provider := filepath.Join(t.TempDir(), "provider")
	if err := build(t.Context(), provider); err != nil {
		t.Fatal(err)
	}
	t.Run("runs and leaves nothing behind", func(t *testing.T) {
		temporary := temporaryFolder(t)
		setHostileEnvironment(t)
		page := &bytes.Buffer{}
		if err := run(t.Context(), options{provider: provider}, page); err != nil {
			t.Fatalf("%v\nafter:\n%s", err, page)
		}
		for _, want := range []string{
			"Pod → ServiceAccount → OIDC trust → IAM role → CSI driver → Secrets Manager → files",
			"sub  system:serviceaccount:payments:payment-sa\n",
			`:sub": "system:serviceaccount:payments:payment-sa"`,
			`"Action": ["secretsmanager:GetSecretValue"]`,
			"      sts:AssumeRoleWithWebIdentity  ap-south-1  arn:aws:iam::123456789012:role/payment-role\n",
			"      secretsmanager:GetSecretValue  ap-south-1  prod/payments/db\n",
			"arn:aws:sts::123456789012:assumed-role/payment-role/payments-payment-sa\n",
			"      -r--r--r--   15 bytes  db-password  demo-password-1\n",
			"      -r--r--r--   15 bytes  db-password  demo-password-2  ← new\n",
			"code = Unauthenticated", "code = PermissionDenied", "code = InvalidArgument",
			"3 mistakes explained and fixed",
			"Nothing is left behind.\n",
		} {
			if !strings.Contains(page.String(), want) {
				t.Errorf("the page lacks %q", want)
			}
		}
		if strings.Contains(page.String(), "eyJ") {
			t.Error("the page shows a token")
		}
		for line := range strings.Lines(page.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > pageWidth && !strings.Contains(line, temporary) {
				t.Errorf("%d columns: %s", n, line)
			}
		}
		checkClean(t, temporary)
	})
	t.Run("keeps the mounted files and nothing else", func(t *testing.T) {
		temporary := temporaryFolder(t)
		dir := filepath.Join(temporary, "look")
		if err := run(t.Context(), options{provider: provider, dir: dir, keep: true}, io.Discard); err != nil {
			t.Fatal(err)
		}
		if got := names(t, dir); !cmp.Equal(got, []string{mountFolder}) {
			t.Errorf("in the folder: %q", got)
		}
		got, err := readVolume(filepath.Join(dir, mountFolder, "secrets"))
		want := []file{{"api-key", 0o644, apiKey}, {"db-password", 0o444, passwordAfter}, {"db.json", 0o644, dbAfter}}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(file{})); diff != "" || err != nil {
			t.Errorf("kept files (-want +got), error %v:\n%s", err, diff)
		}
		// The demo never removes files that it did not write.
		if err := run(t.Context(), options{provider: provider, dir: dir}, io.Discard); err == nil || !strings.Contains(err.Error(), "is not empty") {
			t.Errorf("in a folder that is not empty: %v", err)
		}
		if got := names(t, dir); !cmp.Equal(got, []string{mountFolder}) {
			t.Errorf("in the folder after a refusal: %q", got)
		}
	})
	t.Run("leaves nothing behind when it is stopped", func(t *testing.T) {
		for _, at := range []string{"1. Pod", "5. CSI driver", "8. Rotation", "10. The policy"} {
			temporary := temporaryFolder(t)
			ctx, stop := context.WithCancelCause(t.Context())
			err := run(ctx, options{provider: provider}, &watcher{word: at, seen: func() { stop(errStopped) }})
			if !errors.Is(err, errStopped) {
				t.Errorf("stopped at %q: %v", at, err)
			}
			checkClean(t, temporary)
		}
	})
	t.Run("does not start after it is stopped", func(t *testing.T) {
		temporary := temporaryFolder(t)
		ctx, stop := context.WithCancelCause(t.Context())
		stop(errStopped)
		page := &bytes.Buffer{}
		if err := run(ctx, options{provider: provider}, page); !errors.Is(err, errStopped) || page.Len() > 0 {
			t.Errorf("error %v after:\n%s", err, page)
		}
		checkClean(t, temporary)
	})
	t.Run("prints the output of a provider that exits", func(t *testing.T) {
		program := filepath.Join(t.TempDir(), "dies")
		temporary := temporaryFolder(t)
		if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"I cannot go on\" >&2\nexit 3\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		err := run(t.Context(), options{provider: program}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "I cannot go on") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(started); took > demoTimeout/2 {
			t.Errorf("the demo noticed only after %s", took)
		}
		checkClean(t, temporary)
	})
	t.Run("fails if it cannot print", func(t *testing.T) {
		temporary := temporaryFolder(t)
		if err := run(t.Context(), options{provider: provider}, closed{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("error %v", err)
		}
		checkClean(t, temporary)
	})
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"one two three", []string{"one two", "three"}},
		{"a word-that-is-too-long b", []string{"a", "word-that-is-too-long", "b"}},
	} {
		if diff := cmp.Diff(c.want, wrap(c.text, 8)); diff != "" {
			t.Errorf("wrap %q (-want +got):\n%s", c.text, diff)
		}
	}
}

var errStopped = errors.New("stopped by the test")

// watcher is a writer that calls seen when word is written.
type watcher struct {
	word string
	seen func()
}

func (w *watcher) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.word) {
		w.seen()
	}
	return len(p), nil
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// temporaryFolder makes the demo's TMPDIR, with a path short enough for a Unix socket.
func temporaryFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "t") // the path of t.TempDir is too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	return dir
}

// setHostileEnvironment sets variables that would break the provider if the demo passed them on.
func setHostileEnvironment(t *testing.T) {
	t.Helper()
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	for name, value := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_PROFILE": "absent", "AWS_CA_BUNDLE": "/absent", "AWS_USE_FIPS_ENDPOINT": "true",
		"SSL_CERT_FILE": "/absent", "SSL_CERT_DIR": "/absent", "KUBECONFIG": "/absent", "HOME": "/absent",
	} {
		t.Setenv(name, value)
	}
}

// checkClean fails the test if the demo left a file in dir or, on systems with /proc, a process with dir in its arguments.
func checkClean(t *testing.T, dir string) {
	t.Helper()
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range processes {
		if command, err := os.ReadFile(path); err == nil && strings.Contains(string(command), dir+"/") {
			t.Errorf("still running: %s", strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := make([]string, len(entries))
	for i, e := range entries {
		found[i] = e.Name()
	}
	return found
}
