//go:build e2e

package node_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// compare fails the test if the host is not what it was before.
func compare(t *testing.T, before map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, host(t)); diff != "" {
		t.Errorf("the node left something on the host (- before, + after):\n%s", diff)
	}
}

// host is everything that the node could have changed.
func host(t *testing.T) map[string]string {
	t.Helper()
	state := map[string]string{}
	for _, file := range []string{
		"/proc/sys/vm/overcommit_memory", "/proc/sys/vm/panic_on_oom", "/proc/sys/kernel/panic", "/proc/sys/kernel/panic_on_oops",
		"/proc/sys/kernel/keys/root_maxkeys", "/proc/sys/kernel/keys/root_maxbytes",
		"/proc/sys/net/ipv4/ip_forward", "/proc/net/route", "/proc/self/mounts",
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		state[file] = string(text)
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		addresses, _ := i.Addrs()
		state["interface "+i.Name] = fmt.Sprint(i.Flags, addresses)
	}
	for _, pattern := range []string{
		"/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*node*", "/sys/fs/cgroup/*/kubepods*", "/run/*", "/var/lib/*", "/var/log/*", "/opt/*", "/etc/cni*", "/var/run/netns/*",
		"/usr/libexec/*",
	} {
		paths, _ := filepath.Glob(pattern)
		state[pattern] = strings.Join(paths, " ")
	}
	// All processes of a node have mounts of their own.
	var processes []string
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	namespaces, _ := filepath.Glob("/proc/[0-9]*/ns/mnt")
	for _, file := range namespaces {
		if namespace, err := os.Readlink(file); err == nil && namespace != own {
			command, _ := os.ReadFile(strings.TrimSuffix(file, "ns/mnt") + "cmdline")
			processes = append(processes, strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	sort.Strings(processes)
	state["processes"] = strings.Join(processes, "\n")
	return state
}
