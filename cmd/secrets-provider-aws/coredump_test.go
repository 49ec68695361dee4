package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
)

// The memory of a provider that serves never reaches a disk: the limit of its core files is 0, and it is not
// dumpable, which the kernel shows as files in /proc that belong to root and not to the process's user.
func TestT52_NoCoreDumps(t *testing.T) {
	if _, err := os.Stat("/proc/self/limits"); err != nil {
		t.Skipf("there is no proc_pid_limits(5) here: %v", err)
	}
	w := newOutside(t, "ap-south-1")
	p := start(t, w.env, "--kubeconfig="+w.kubeconfig)
	w.mount(t, p, nil)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits) {
		t.Errorf("the limit of core files is not 0:\n%s", limits)
	}
	user := os.Geteuid()
	if user == 0 { // root's files are root's anyway: look at a provider of another user
		user = 65534
		p = startAs(t, uint32(user), w)
	}
	var file syscall.Stat_t
	if err := syscall.Stat(fmt.Sprintf("/proc/%d/limits", p.cmd.Process.Pid), &file); err != nil {
		t.Fatal(err)
	}
	if file.Uid != 0 {
		t.Errorf("the process of uid %d owns its files in /proc: it is dumpable", user)
	}
}

// startAs runs the binary as another user, and returns when it serves.
func startAs(t *testing.T, uid uint32, w *outside) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "as-other") // t.TempDir is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "secrets-provider-aws")
	content, err := os.ReadFile(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := os.ReadFile(w.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	volume := filepath.Join(dir, "volume")
	for _, err := range []error{
		os.WriteFile(program, content, 0o755), os.Chmod(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "kubeconfig"), kubeconfig, 0o644),
		os.Mkdir(volume, 0o755), os.Chown(volume, int(uid), int(uid)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, "--provider-volume="+volume, "--admin-address=", "--kubeconfig="+filepath.Join(dir, "kubeconfig"))
	cmd.Env = []string{"AWS_REGION=ap-south-1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return startCommand(t, cmd, volume)
}
