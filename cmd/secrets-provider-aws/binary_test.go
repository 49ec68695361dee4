package main

import (
	"bufio"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/grpc"

	"secrets-provider-aws/test/csidriver"
)

// builtVersion is the version of the binary that the tests run.
const builtVersion = "1.2.3-test"

// built builds the binary at most once, with the recipe of the image, and returns its path.
var built = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(buildDir, "secrets-provider-aws")
	cmd := exec.Command("make", "-C", "../..", "build", "BINARY="+binary, "VERSION="+builtVersion)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	return binary, nil
})

var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "binary")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func binary(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBinaryIsSmallAndStatic(t *testing.T) {
	path := binary(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if const30 := int64(30 << 20); info.Size() > const30 {
		t.Errorf("the binary has %d bytes, want at most %d", info.Size(), const30)
	}
	t.Logf("%.1f MiB", float64(info.Size())/(1<<20))
	file, err := elf.Open(path)
	if err != nil {
		t.Skipf("not an ELF file, so it has no ELF interpreter: %v", err)
	}
	defer func() { _ = file.Close() }()
	if libraries, err := file.ImportedLibraries(); err == nil && len(libraries) != 0 {
		t.Errorf("the binary needs %v, which an image FROM scratch does not have", libraries)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary needs a dynamic linker, which an image FROM scratch does not have")
		}
	}
}

func TestBinaryPrintsItsVersion(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), binary(t), "version").CombinedOutput()
	if err != nil || string(out) != builtVersion+"\n" {
		t.Errorf("got %q, %v, want %q", out, err, builtVersion)
	}
}

func TestBinaryFailsWithOneLineAndStatus1(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), binary(t), "--driver-writes-secrets=false", "--qps=0")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exited with %v, want status 1", err)
	}
	if text := string(out); strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "secrets-provider-aws: --driver-writes-secrets=false is not supported") || !strings.Contains(text, "--qps") {
		t.Errorf("printed %q", text)
	}
}

// process is a running provider, started like in its DaemonSet.
type process struct {
	cmd  *exec.Cmd
	conn grpc.ClientConnInterface
	dir  string // the provider volume

	mu    sync.Mutex
	logs  bytes.Buffer
	ended chan struct{} // closed at the end of the log
}

// start runs the binary and returns when it serves. Its environment is env, and that of the test without the variables
// that the AWS SDK, client-go or a proxy reads.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "volume") // t.TempDir contains the test's name, but a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cmd := exec.CommandContext(t.Context(), binary(t), append([]string{"--provider-volume=" + dir, "--admin-address="}, args...)...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(strings.ToUpper(v), "=")
		return strings.HasPrefix(name, "AWS_") || strings.HasSuffix(name, "_PROXY") || strings.HasPrefix(name, "KUBE")
	}), env...)
	return startCommand(t, cmd, dir)
}

// startCommand starts the command, a provider with its socket in dir, and returns when it serves.
func startCommand(t *testing.T, cmd *exec.Cmd, dir string) *process {
	t.Helper()
	p := &process{cmd: cmd, dir: dir, ended: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	serving := make(chan struct{})
	go p.read(stderr, serving)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have exited
		<-p.ended
		_ = p.cmd.Wait() // Wait may have been called
	})
	select {
	case <-serving:
	case <-p.ended:
		t.Fatalf("the provider exited: %s", p.log())
	}
	conn, err := csidriver.Dial(filepath.Join(dir, "aws.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p.conn = conn
	return p
}

// read stores the log and closes serving at the line "serving".
func (p *process) read(stderr io.Reader, serving chan<- struct{}) {
	defer close(p.ended)
	isServing := false
	for lines := bufio.NewReader(stderr); ; {
		line, err := lines.ReadString('\n')
		p.mu.Lock()
		p.logs.WriteString(line)
		p.mu.Unlock()
		if !isServing && (strings.Contains(line, "msg=serving") || strings.Contains(line, `"msg":"serving"`)) {
			isServing = true
			close(serving)
		}
		if err != nil {
			return
		}
	}
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logs.String()
}

// signal sends s, waits for the process to exit and returns its exit status.
func (p *process) signal(t *testing.T, s syscall.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	_ = p.cmd.Wait() // the exit status is enough
	return p.cmd.ProcessState.ExitCode()
}
