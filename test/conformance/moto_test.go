package conformance_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// startMoto starts moto_server, an AWS emulator that shares nothing with ours, on a free port and
// gives its URL, or skips the test where there is none that runs.
func startMoto(t *testing.T) string {
	t.Helper()
	// What stands on PATH may be a shim of a version manager, which is there whether or not moto is.
	if out, err := exec.CommandContext(t.Context(), "moto_server", "--help").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: no moto_server that runs (pip install 'moto[server]'), so that the clients are tested against our own simulator alone: %v %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "moto_server", "-H", "127.0.0.1", "-p", "0")
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "AWS_") || strings.Contains(strings.ToUpper(v), "_PROXY=")
	})
	cmd.Env = append(cmd.Env, "PYTHONUNBUFFERED=1")
	output, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = w.CloseWithError(cmd.Wait()) // ended by us
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	})
	return motoURL(t, output)
}

var motoAddress = regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)

// motoURL reads moto's output up to its address, and throws away the rest.
func motoURL(t *testing.T, output io.Reader) string {
	t.Helper()
	var said strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if match := motoAddress.FindStringSubmatch(lines.Text()); match != nil {
			go func() { _, _ = io.Copy(io.Discard, output) }()
			return match[1]
		}
	}
	t.Fatalf("moto_server ended: %v\n%s", lines.Err(), said.String())
	return ""
}
