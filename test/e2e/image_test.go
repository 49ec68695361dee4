//go:build e2e

package e2e

import (
	"crypto/sha256"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestImage_IsAtMost30MiB(t *testing.T) {
	info, err := os.Stat(imageArchive())
	if err != nil {
		t.Fatal(err)
	}
	if mebibytes := float64(info.Size()) / (1 << 20); mebibytes > 30 {
		t.Errorf("%.1f MiB", mebibytes)
	} else {
		t.Logf("%.1f MiB", mebibytes)
	}
}

// Two builds of the same tree in two folders give identical bytes.
func TestImage_IsReproducible(t *testing.T) {
	tree, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	output := func(command string, arguments ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), command, arguments...)
		cmd.Dir = tree
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
		return strings.TrimSpace(string(out))
	}
	files := strings.Split(output("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00")
	repository := output("git", "rev-parse", "--absolute-git-dir")
	build := func() (sum [sha256.Size]byte) {
		t.Helper()
		dir := t.TempDir()
		for _, file := range files {
			if file != "" {
				copyFile(t, filepath.Join(tree, file), filepath.Join(dir, file))
			}
		}
		cmd := exec.CommandContext(t.Context(), "make", "image", "ARCH="+runtime.GOARCH, "VERSION=1.2.3")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GIT_DIR="+repository, "MAKEFLAGS=", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
		image, err := os.ReadFile(filepath.Join(dir, "bin", "image-"+runtime.GOARCH+".tar"))
		if err != nil {
			t.Fatal(err)
		}
		return sha256.Sum256(image)
	}
	if first, second := build(), build(); first != second {
		t.Errorf("the images are %x and %x", first, second)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if os.IsNotExist(err) { // deleted, but not committed yet
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
