//go:build e2e

package node_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/node"
)

// compare fails the test if the host has changed.
func compare(t *testing.T, cfg node.Config, before map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, host(t, cfg)); diff != "" {
		t.Errorf("the node left something on the host (- before, + after):\n%s", diff)
	}
}

// engines are folders in which other container engines of the host mount, for example during an image build.
var engines = []string{"/var/lib/containers/", "/var/lib/docker/", "/run/containers/", "/run/docker/", "/run/user/"}

// host returns everything that the node could change on the host. It leaves out other nodes of this machine, which may change.
func host(t *testing.T, cfg node.Config) map[string]string {
	t.Helper()
	folder, own, all, err := node.HostNames(cfg)
	if err != nil {
		t.Fatal(err)
	}
	others := func(name string) bool {
		begins := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
		return slices.ContainsFunc(all, begins) && !slices.Contains(own, name)
	}
	state := map[string]string{}
	for _, file := range []string{
		"/proc/sys/vm/overcommit_memory", "/proc/sys/vm/panic_on_oom", "/proc/sys/kernel/panic", "/proc/sys/kernel/panic_on_oops",
		"/proc/sys/kernel/keys/root_maxkeys", "/proc/sys/kernel/keys/root_maxbytes",
		"/proc/sys/net/ipv4/ip_forward",
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		state[file] = string(text)
	}
	mounts, err := node.ReadMounts("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		engine := func(folder string) bool { return strings.HasPrefix(m.Target, folder) }
		if !slices.ContainsFunc(engines, engine) {
			state["mounts"] += fmt.Sprintf("%+v\n", m)
		}
	}
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(routes)) {
		if !others(strings.Fields(line)[0]) {
			state["/proc/net/route"] += line
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		if !others(i.Name) {
			addresses, _ := i.Addrs()
			state["interface "+i.Name] = fmt.Sprint(i.Flags, addresses)
		}
	}
	for _, pattern := range []string{
		"/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*node*", "/sys/fs/cgroup/*/kubepods*", "/run/*", "/var/lib/*", "/var/log/*", "/opt/*", "/etc/cni*", "/var/run/netns/*",
		"/usr/libexec/*",
	} {
		paths, _ := filepath.Glob(pattern)
		paths = slices.DeleteFunc(paths, func(path string) bool { return others(filepath.Base(path)) })
		state[pattern] = strings.Join(paths, " ")
	}
	state["processes"] = strings.Join(processes(t, folder), "\n")
	return state
}

// processes returns the command lines of a node's processes, in all namespaces. Each sees the node's folder in its mounts: in the box
// as the node's private folders, in a container as files that the kubelet mounts.
func processes(t *testing.T, folder string) []string {
	t.Helper()
	mounts, err := node.ReadMounts("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	// The folder's path in its file system is the same in all namespaces.
	var device, root, target string
	for _, m := range mounts {
		if rest, ok := strings.CutPrefix(folder, strings.TrimSuffix(m.Target, "/")+"/"); ok && len(m.Target) >= len(target) {
			device, root, target = m.Device, filepath.Join(m.Root, rest)+"/", m.Target
		}
	}
	var commands []string
	files, _ := filepath.Glob("/proc/[0-9]*/mountinfo")
	for _, file := range files {
		mounts, err := node.ReadMounts(file)
		inside := func(m node.Mount) bool { return m.Device == device && strings.HasPrefix(m.Root, root) }
		if err == nil && slices.ContainsFunc(mounts, inside) { // an error means that the process has exited
			command, _ := os.ReadFile(strings.TrimSuffix(file, "mountinfo") + "cmdline")
			commands = append(commands, strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	slices.Sort(commands)
	return commands
}
