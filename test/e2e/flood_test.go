//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The volumes of the flood. "make bench" mounts the same ones in its scenario flood.
const (
	floodRounds  = 3
	floodPods    = 12     // of each kind; each pod has its own ServiceAccount, so no value serves two pods
	floodBytes   = 60_000 // per secret; AWS allows 65,536
	largeSecrets = 500    // 28.6 MiB in one volume: refused, because the driver accepts 4 MiB
	legalSecrets = 68     // 3.9 MiB in one volume: mounted
)

// Pod authors start many pods with volumes that are too large, together with as many that are just small enough. The provider stays
// within the chart's memory limit. The large volumes are refused, the others are mounted, and so are the volumes of a neighbour.
func TestFlood_ProviderKeepsRunningAndNeighbourMounts(t *testing.T) {
	c := newTenant(t)
	c.prepareFlood()
	neighbour := newTenantIn(t, c.namespace+"-neighbour")
	objects := `[{objectName: ` + neighbour.secret("password", "correct-horse-neighbour") + `, objectType: secretsmanager, objectAlias: password}]`
	neighbour.class("secrets", objects)
	provider := c.provider()
	before := c.container(provider)
	t.Logf("before: %s", before)
	for round := range floodRounds {
		c.step(fmt.Sprint("round ", round+1), func() {
			c.aws.ResetCalls()
			ctx, stop := context.WithCancel(c.ctx)
			defer stop()
			var work sync.WaitGroup
			mounts, mountErrs := 0, make(chan error, 10000)
			start := time.Now()
			large, legal := c.createFlood(round)
			c.until(time.Minute, "the first read of the flood", func(context.Context) error {
				if c.reads("secret-") == 0 {
					return errors.New("no read yet")
				}
				return nil
			})
			work.Go(neighbour.mountWithoutPause(ctx, objects, &mounts, mountErrs))
			pod := fmt.Sprint("pod-", round)
			neighbour.runPod(pod, podSpec{classes: []string{"secrets"}})
			c.t.Logf("the neighbour's pod is ready %.1f s after the flood began", time.Since(start).Seconds())
			for _, pod := range large {
				_, err := c.WaitPodEvent(c.ctx, c.namespace, pod, "FailedMount", "the volume is too large")
				c.must(err)
			}
			c.t.Logf("%d volumes are refused after %.1f s", len(large), time.Since(start).Seconds())
			for _, pod := range legal {
				c.must(c.WaitPodReady(c.ctx, c.namespace, pod))
			}
			c.t.Logf("%d pods with %.1f MiB each are ready after %.1f s", len(legal), float64(legalSecrets*floodBytes)/(1<<20), time.Since(start).Seconds())
			stop()
			work.Wait()
			c.t.Logf("meanwhile %d direct mounts of the neighbour, and %d reads of the flood", mounts, c.reads("secret-"))
			if n := len(mountErrs); n != 0 {
				c.t.Errorf("%d direct mounts of the neighbour failed, the first with %v", n, <-mountErrs)
			}
			if got := neighbour.read(pod, "/mnt/secrets/password"); got != "correct-horse-neighbour" {
				c.t.Errorf("the neighbour's pod reads %q", got)
			}
			for _, pod := range legal {
				if got, want := c.volumeBytes(pod), int64(legalSecrets*floodBytes); got != want {
					c.t.Errorf("pod %s has files of %d bytes in all, want %d", pod, got, want)
				}
			}
			c.deletePods(c.ctx)
			now := c.container(provider)
			c.t.Log(now)
			if now.restarts != before.restarts {
				c.t.Errorf("the provider's container was restarted: %s", now)
			}
		})
	}
	if n := neighbour.failedMounts(); n != 0 {
		t.Errorf("%d mounts of the neighbour failed:\n%s", n, neighbour.kubectl("get", "events", "--field-selector=reason=FailedMount"))
	}
}

// prepareFlood creates the secrets, two classes and the ServiceAccounts of the flood.
func (c *tenant) prepareFlood() {
	c.t.Helper()
	const marker = "correct-horse-flood"
	c.values = append(c.values, marker) // no part of a value may be in a log
	value := marker + strings.Repeat("x", floodBytes-len(marker))
	list := func(first, count int) string {
		var text strings.Builder
		for i := first; i < first+count; i++ {
			name := fmt.Sprintf("%s/secret-%03d", c.namespace, i)
			c.aws.PutSecret(region, name, value)
			fmt.Fprintf(&text, "- {objectName: %s, objectType: secretsmanager}\n", name)
		}
		return text.String()
	}
	c.class("large", list(0, largeSecrets))
	c.class("legal", list(largeSecrets, legalSecrets))
	var accounts strings.Builder
	for i := range floodPods {
		for _, class := range []string{"large", "legal"} {
			account := fmt.Sprint(class, "-", i)
			name := c.namespace + "-" + account
			c.setRole(name, c.trust(c.namespace, account))
			fmt.Fprintf(&accounts, "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: %s, namespace: %s, annotations: {eks.amazonaws.com/role-arn: %q}}}\n",
				account, c.namespace, c.roleARN()+"-"+account)
		}
	}
	c.apply(accounts.String())
}

// createFlood creates all pods of a round at once and returns their names.
func (c *tenant) createFlood(round int) (large, legal []string) {
	c.t.Helper()
	var pods strings.Builder
	add := func(class string, i int) string {
		name := fmt.Sprintf("%s-%d-%d", class, round, i)
		fmt.Fprintf(&pods, "---\n%s\n", c.podManifest(name, class, podSpec{classes: []string{class}, serviceAccount: fmt.Sprint(class, "-", i)}))
		return name
	}
	for i := range floodPods {
		large, legal = append(large, add("large", i)), append(legal, add("legal", i))
	}
	c.apply(pods.String())
	return large, legal
}

// volumeBytes returns the size of all files in a pod's first volume.
func (c *tenant) volumeBytes(pod string) int64 {
	c.t.Helper()
	files, err := filepath.Glob(c.hostPath(pod, 0, "[^.]*"))
	c.must(err)
	var bytes int64
	for _, file := range files {
		info, err := os.Stat(file)
		c.must(err)
		bytes += info.Size()
	}
	return bytes
}

// container is what the node tells about a provider pod's container.
type container struct {
	restarts string // its number of restarts, and why it was restarted last
	resident string // the largest resident memory of its process so far, from /proc/PID/status
	charged  string // the largest memory of its cgroup so far, page cache included, and the cgroup's limit
}

func (c container) String() string {
	return fmt.Sprintf("restarts: %s; resident memory at most %s; %s", c.restarts, c.resident, c.charged)
}

func (c *tenant) container(p pod) container {
	c.t.Helper()
	state, err := c.Kubectl(c.ctx, "get", "pod", p.Metadata.Name, "--namespace", releaseNamespace, "-o",
		"jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].lastState.terminated.reason}")
	c.must(err)
	pid, err := c.ContainerPID(c.ctx, releaseNamespace, p.Metadata.Name, "provider")
	c.must(err)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	c.must(err)
	found := container{restarts: strings.TrimSpace(state), resident: "unknown", charged: cgroupMemory(pid)}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			found.resident = strings.TrimSpace(value)
		}
	}
	return found
}

// cgroupMemory describes the peak and the limit of a process's memory cgroup. Kernels before 6.5 lack the peak with cgroup v2.
func cgroupMemory(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return err.Error()
	}
	var folder, peak, limit string
	for line := range strings.Lines(string(text)) { // number:controllers:path
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case fields[1] == "memory":
			folder, peak, limit = "/sys/fs/cgroup/memory"+fields[2], "memory.max_usage_in_bytes", "memory.limit_in_bytes"
		case fields[1] == "" && folder == "":
			folder, peak, limit = "/sys/fs/cgroup"+fields[2], "memory.peak", "memory.max"
		}
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return "unknown"
		}
		bytes, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			return strings.TrimSpace(string(text))
		}
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("cgroup at most %s of %s", read(peak), read(limit))
}

// At -v=4 the log tells each step of a mount. All lines of one mount have the same number.
func TestLog_VerbosityFourFollowsOneMount(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-followed")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`)
	_, err := c.upgrade(c.ctx, "--set", "logVerbosity=4")
	c.must(err)
	t.Cleanup(func() {
		if _, err := c.upgrade(context.WithoutCancel(c.ctx)); err != nil {
			t.Error(err)
		}
	})
	provider := c.provider()
	c.runPod("app", podSpec{classes: []string{"secrets"}})
	// The order of the lines, and in each what an operator looks for.
	want := []string{
		`msg="mount request" namespace=` + c.namespace + ` pod=app service_account=app class=secrets`,
		`msg="ServiceAccount read from the API server" service_account=` + c.namespace + `/app`,
		`msg=identity mode=web-identity role=` + c.roleARN() + ` role_from=annotation`,
		`msg="AWS call" service=STS operation=AssumeRoleWithWebIdentity region=` + region,
		`msg=credentials from=sts`,
		`msg="AWS call" service="Secrets Manager" operation=GetSecretValue region=` + region,
		`msg=volume first_mount=true region=` + region,
		`msg=value object=` + name + ` region=` + region + ` from=aws`,
		`msg=mount namespace=` + c.namespace + ` pod=app service_account=app class=secrets role=` + c.roleARN() + ` region=` + region,
	}
	c.until(time.Minute, "the lines of the mount in the log", func(ctx context.Context) error {
		log, err := c.Logs(ctx, releaseNamespace, provider.Metadata.Name, "provider")
		if err != nil {
			return err
		}
		lines := mountLines(log, want[0])
		got := make([]string, len(lines))
		for i, line := range lines {
			got[i] = line
			if i < len(want) && strings.Contains(line, want[i]) {
				got[i] = want[i]
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("the lines of the mount (-want +got):\n%s", diff)
		}
		t.Logf("one mount at -v=4:\n%s", strings.Join(lines, "\n"))
		return nil
	})
}

// mountLines returns the lines of the first mount request with first in a line of it.
func mountLines(log, first string) []string {
	var lines []string
	number := ""
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		at := strings.LastIndex(line, " request=")
		if at >= 0 && number == "" && strings.Contains(line, first) {
			number = line[at:]
		}
		if at >= 0 && line[at:] == number {
			lines = append(lines, line)
		}
	}
	return lines
}
