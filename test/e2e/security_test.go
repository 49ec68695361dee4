//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The test checks the running container in /proc, not the manifest.
func TestContainer_HasNoCapabilitiesAndNoNodeFiles(t *testing.T) {
	c := newTenant(t)
	pid, err := c.ContainerPID(c.ctx, releaseNamespace, c.provider().Metadata.Name, "provider")
	c.must(err)
	proc := func(name string) string {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		c.must(err)
		return string(text)
	}
	c.step("no capability, no new privileges, seccomp", func() {
		got := map[string]string{}
		for line := range strings.Lines(proc("status")) {
			key, value, _ := strings.Cut(line, ":")
			if strings.HasPrefix(key, "Cap") || key == "NoNewPrivs" || key == "Seccomp" {
				got[key] = strings.TrimSpace(value)
			}
		}
		const none = "0000000000000000"
		want := map[string]string{"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2"}
		if diff := cmp.Diff(want, got); diff != "" {
			c.t.Errorf("/proc/PID/status (-want +got):\n%s", diff)
		}
	})
	c.step("read-only root, and only the socket folder of the node", func() {
		// The kubelet makes an /etc/hosts for each pod.
		var writable, fromNode []string
		for line := range strings.Lines(proc("mountinfo")) {
			fields := strings.Fields(line)
			source, target, options := fields[3], fields[4], strings.Split(fields[5], ",")
			device := strings.HasPrefix(target, "/dev") || strings.HasPrefix(target, "/proc") || strings.HasPrefix(target, "/sys")
			if slices.Contains(options, "rw") && !device {
				writable = append(writable, target)
			}
			// A hostPath mounts part of one of the node's file systems. The kubelet also mounts its own files from there into each container.
			if !strings.Contains(source, "/pods/") && !strings.Contains(source, "/containerd/") && source != "/" && !device {
				fromNode = append(fromNode, source+" at "+target)
			}
		}
		if diff := cmp.Diff([]string{"/etc/hosts", "/var/run/secrets-store-csi-providers"}, writable); diff != "" {
			c.t.Errorf("writable mounts (-want +got):\n%s\n%s", diff, proc("mountinfo"))
		}
		if len(fromNode) != 1 || !strings.Contains(fromNode[0], "/secrets-store-csi-providers at ") {
			c.t.Errorf("it sees %q of the node, want only the socket folder:\n%s", fromNode, proc("mountinfo"))
		}
	})
	c.step("own namespaces", func() {
		node := filepath.Dir(c.Path("/")) // /proc/PID of a process in the node's namespaces
		for _, namespace := range []string{"net", "pid", "mnt", "ipc", "uts"} {
			own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, namespace))
			c.must(err)
			outer, err := os.Readlink(filepath.Join(node, "ns", namespace))
			c.must(err)
			if own == outer {
				c.t.Errorf("its %s namespace is the node's", namespace)
			}
		}
	})
	c.step("only root may use the socket", func() {
		info, err := os.Stat(c.Path(socket))
		c.must(err)
		if mode := info.Mode(); mode.Perm() != 0o600 || mode.Type() != os.ModeSocket {
			c.t.Errorf("the socket is %s", mode)
		}
	})
}

// The kubelet's probes use the same port.
func TestAdminPort_ServesOnThePodsAddress(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-metrics")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`)
	c.runPod("app", podSpec{classes: []string{"secrets"}})
	provider := c.provider()
	if net.ParseIP(provider.Status.PodIP) == nil {
		t.Fatalf("the provider's address is %q", provider.Status.PodIP)
	}
	for path, wants := range map[string][]string{
		"/healthz": {"ok secrets-provider-aws"},
		"/readyz":  {"ok secrets-provider-aws"},
		"/metrics": {
			`secrets_provider_aws_mounts_total{phase="first",reason="",result="ok"}`, "secrets_provider_aws_mount_duration_seconds_bucket", "secrets_provider_aws_build_info",
			`secrets_provider_aws_values_total{source="read"}`,
		},
	} {
		status, body, err := c.get(provider, path)
		if err != nil || status != http.StatusOK {
			t.Errorf("%s: %d, %v", path, status, err)
		}
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q:\n%s", path, want, body)
			}
		}
		if strings.Contains(body, c.namespace) {
			t.Errorf("%s names a namespace", path)
		}
	}
	if mounts := c.metric("secrets_provider_aws_mounts_total", `result="ok"`); mounts < 1 {
		t.Errorf("%v mounts are counted", mounts)
	}
}
