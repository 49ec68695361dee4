package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// boxFolders are private to the node. Each is a bind mount of the same name under run/root. Kubernetes and containerd write to no
// other folder that a flag cannot change (/var/lib/kubelet/device-plugins, /var/log/containers and /run/containerd/s are fixed in
// their sources).
var boxFolders = []string{"/run", "/var/lib", "/var/log", "/opt"}

// kernelSettings are the settings that the kubelet would change for the whole machine at start (setupKernelTunables in its container
// manager). The box mounts a file with the wanted value over each one. So the kubelet changes nothing, and the host keeps its values.
var kernelSettings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// openBox creates the namespaces, with a sleeping process that holds them, and everything that the node's programs expect in them.
func (n *Node) openBox(ctx context.Context) error {
	if err := n.cgroup.create(); err != nil {
		return err
	}
	holder, err := n.spawn("holder", "unshare", "--mount", "--net", "--propagation", "private", "--", "sleep", "infinity")
	if err != nil {
		return err
	}
	n.record.Holder = holder
	if err := n.record.write(n.layout); err != nil {
		return err
	}
	// unshare creates the namespaces before it executes sleep.
	err = n.Until(ctx, time.Minute, "the node's namespaces", func(context.Context) (bool, error) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", holder.PID))
		return strings.TrimSpace(string(comm)) == "sleep", err
	})
	if err != nil {
		return err
	}
	if err := n.mountBox(ctx); err != nil {
		return err
	}
	return n.linkBox(ctx)
}

func (n *Node) mountBox(ctx context.Context) error {
	for _, setting := range slices.Sorted(maps.Keys(kernelSettings)) {
		file := n.layout.run("sysctl", setting)
		if err := writeFile(file, []byte(kernelSettings[setting]+"\n"), 0o644); err != nil {
			return err
		}
		if err := n.enter(ctx, "mount", "--bind", file, "/proc/sys/"+setting); err != nil {
			return err
		}
	}
	for _, folder := range boxFolders {
		source := n.layout.run("root", folder)
		if err := os.MkdirAll(source, 0o755); err != nil {
			return err
		}
		if err := n.enter(ctx, "mount", "--bind", source, folder); err != nil {
			return err
		}
	}
	// Shared propagation, only within the box. The kubelet and the pods must see what the driver mounts in its container
	// (mountPropagation: Bidirectional). On a private mount, containerd refuses such a pod.
	return n.enter(ctx, "mount", "--make-rshared", "/")
}

// linkBox connects the node and the host by a pair of links. Pods reach a test's servers at the host's end.
func (n *Node) linkBox(ctx context.Context) error {
	l := n.layout
	host, box := l.hostLink(), l.boxLink()
	if err := runCommand(exec.CommandContext(ctx, "ip", "link", "add", host, "type", "veth",
		"peer", "name", box, "netns", strconv.Itoa(n.record.Holder.PID))); err != nil {
		return err
	}
	for _, arguments := range [][]string{
		{"addr", "add", l.hostAddress() + "/30", "dev", host},
		{"addr", "add", podIdentityAddress + "/32", "dev", host},
		{"link", "set", host, "up"},
	} {
		if err := runCommand(exec.CommandContext(ctx, "ip", arguments...)); err != nil {
			return err
		}
	}
	for _, arguments := range [][]string{
		{"link", "set", "lo", "up"},
		// Pods call the API server at the first Service address, which kube-proxy would forward. The API server listens on all
		// addresses, so it is enough that the node has this one.
		{"addr", "add", kubernetesService + "/32", "dev", "lo"},
		{"addr", "add", l.nodeAddress() + "/30", "dev", box},
		{"link", "set", box, "up"},
		{"route", "add", "default", "via", l.hostAddress()},
	} {
		if err := n.enter(ctx, "ip", arguments...); err != nil {
			return err
		}
	}
	return runCommand(exec.CommandContext(ctx, "ip", "route", "add", l.podCIDR(), "via", l.nodeAddress(), "dev", host))
}

// enter runs one command in the box and waits for it.
func (n *Node) enter(ctx context.Context, command string, arguments ...string) error {
	return runCommand(n.inBox(ctx, command, arguments...))
}

// inBox prepares a command that runs in the box. Processes in the box see it as one of them.
func (n *Node) inBox(ctx context.Context, command string, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append(n.nsenter(), append([]string{command}, arguments...)...)...)
	cmd.Env = n.environment()
	return cmd
}

func (n *Node) nsenter() []string {
	ns := fmt.Sprintf("/proc/%d/ns/", n.record.Holder.PID)
	return []string{"--mount=" + ns + "mnt", "--net=" + ns + "net", "--"}
}

// environment is the environment of the node's programs. It excludes the caller's, with its proxies and AWS credentials.
func (n *Node) environment() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + n.layout.run("tmp"), "TMPDIR=" + n.layout.run("tmp"),
	}
}

// start runs a component in the box and records it.
func (n *Node) start(name, command string, arguments ...string) error {
	p, err := n.spawn(name, "nsenter", append(n.nsenter(), append([]string{command}, arguments...)...)...)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.record.Components[name] = p
	return n.record.write(n.layout)
}

// spawn starts a program that outlives this process. It is a member of the node's cgroup from the start, and its output goes to
// the log of that name. The pid is the program's own, because the shell and nsenter replace themselves.
func (n *Node) spawn(name, command string, arguments ...string) (process, error) {
	logFile, err := os.OpenFile(n.layout.logs(name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return process{}, err
	}
	join := []string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(n.cgroup.system(), "cgroup.procs"), command}
	cmd := &exec.Cmd{
		Path: "/bin/sh", Args: append(join, arguments...), Env: n.environment(), Stdout: logFile, Stderr: logFile,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}, // ignore Ctrl-C in the caller's terminal
	}
	if err := errors.Join(cmd.Start(), logFile.Close()); err != nil {
		return process{}, err
	}
	p, err := identify(cmd.Process.Pid)
	if err != nil {
		return process{}, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	go func() { _ = cmd.Wait() }() // reap it; Until and Status report how it ended
	return p, nil
}

// runCommand runs a command. An error contains its output.
func runCommand(cmd *exec.Cmd) error {
	_, err := output(cmd)
	return err
}

// output runs a command and returns its standard output.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(stderr.String() + stdout.String())
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, text)
	}
	return stdout.String(), nil
}
