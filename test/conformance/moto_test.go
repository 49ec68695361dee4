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

// startMoto starts moto_server, an independent AWS emulator, on a free port and returns its URL. It skips the
// test when moto_server does not run.
func startMoto(t *testing.T) string {
	t.Helper()
	// The file on PATH may be a shim of a version manager, which exists without moto too.
	if out, err := exec.CommandContext(t.Context(), "moto_server", "--help").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: moto_server does not run (pip install 'moto[server]'), so only our own simulator tests the clients: %v %s", err, out)
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
		_ = w.CloseWithError(cmd.Wait()) // the test kills it
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have stopped already
		<-ended
	})
	return motoURL(t, output)
}

var motoAddress = regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)

// motoURL reads moto's output up to its address and discards the rest.
func motoURL(t *testing.T, output io.Reader) string {
	t.Helper()
	var seen strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		seen.WriteString(lines.Text() + "\n")
		if match := motoAddress.FindStringSubmatch(lines.Text()); match != nil {
			go func() { _, _ = io.Copy(io.Discard, output) }()
			return match[1]
		}
	}
	t.Fatalf("moto_server stopped: %v\n%s", lines.Err(), seen.String())
	return ""
}
