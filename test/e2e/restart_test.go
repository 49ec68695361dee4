//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/csidriver"
)

// slow delays each read of the tenant's secrets, so that a read is in progress whenever the provider stops.
func (c *tenant) slow(latency time.Duration) (remove func()) {
	return c.aws.Inject(awssim.Fault{Service: "secretsmanager", Object: c.namespace + "/password", Latency: latency})
}

func TestProviderKilled_DuringMounts_AllPodsStart(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-killed")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`)
	remove := c.slow(2 * time.Second)
	defer remove()
	provider := c.provider()
	pid, err := c.ContainerPID(c.ctx, releaseNamespace, provider.Metadata.Name, "provider")
	c.must(err)
	const pods = 20
	c.deploy("many", pods, podSpec{classes: []string{"secrets"}})
	c.until(3*time.Minute, "a pending mount", func(context.Context) error {
		for _, call := range c.requests("GetSecretValue", name) {
			if call.Status == 0 {
				return nil
			}
		}
		return errors.New("no request is pending")
	})
	c.must(syscall.Kill(pid, syscall.SIGKILL))
	start := time.Now()
	remove()
	c.must(c.WaitPodsReady(c.ctx, c.namespace, "app=many", pods))
	t.Logf("all pods ready %.1f s after the kill, with %d failed mounts", time.Since(start).Seconds(), c.failedMounts())
	c.checkFirstSight("many", pods, "/mnt/secrets/password", "-rw-r--r-- correct-horse-killed")
	c.until(time.Minute, "the provider's restart in its pod's status", func(ctx context.Context) error {
		restarts, err := c.Kubectl(ctx, "get", "pod", provider.Metadata.Name, "--namespace", releaseNamespace, "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
		if restarts == "0" {
			err = errors.New("it was not restarted")
		}
		return err
	})
}

// helm upgrade rolls the DaemonSet while pods keep starting and reads are always in progress. The driver retries a mount when the
// provider closes the connection. So the test also sends mounts without retries, and none of those may fail either.
func TestUpgrade_WhilePodsStart_NoMountFails(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-upgrade")
	objects := `[{objectName: ` + name + `, objectType: secretsmanager, objectAlias: password}]`
	c.class("secrets", objects)
	defer c.slow(time.Second)()
	c.runPod("running", podSpec{classes: []string{"secrets"}})
	before := c.provider()

	ctx, stop := context.WithCancel(c.ctx)
	defer stop()
	var work sync.WaitGroup
	pods, podsErr := 0, error(nil)
	work.Go(func() {
		for ; ctx.Err() == nil && podsErr == nil && pods < 60; pods++ {
			podsErr = c.Apply(c.ctx, c.podManifest(fmt.Sprint("pod-", pods), "many", podSpec{classes: []string{"secrets"}}))
		}
	})
	mounts, mountErrs := 0, make(chan error, 10000)
	work.Go(c.mountWithoutPause(ctx, objects, &mounts, mountErrs))
	for _, round := range []string{"1", "2"} {
		start := time.Now()
		_, err := c.upgrade(c.ctx, "--set-string", "podAnnotations.round="+round)
		c.must(err)
		t.Logf("upgrade %s took %.1f s", round, time.Since(start).Seconds())
	}
	stop()
	work.Wait()
	c.must(podsErr)
	c.must(c.WaitPodsReady(c.ctx, c.namespace, "app=many", pods))
	t.Logf("meanwhile %d pods started, with %d direct mounts", pods, mounts)
	if after := c.provider(); after.Metadata.UID == before.Metadata.UID {
		t.Error("the provider's pod was not replaced")
	}
	if n := c.failedMounts(); n != 0 {
		t.Errorf("%d mounts failed:\n%s", n, c.kubectl("get", "events", "--field-selector=reason=FailedMount"))
	}
	if n := len(mountErrs); n != 0 {
		t.Errorf("%d direct mounts failed, the first with %v", n, <-mountErrs)
	}
	c.checkFirstSight("many", pods, "/mnt/secrets/password", "-rw-r--r-- correct-horse-upgrade")
	// The new provider refreshes the running pods.
	c.secret("password", "correct-horse-upgraded")
	c.untilRead("running", "/mnt/secrets/password", "correct-horse-upgraded")
}

// mountWithoutPause calls the provider's socket as the driver does, but with a new connection per mount and without retries. It
// mounts ten times a second until ctx ends. It sends errors to errs and the number of mounts to count.
func (c *tenant) mountWithoutPause(ctx context.Context, objects string, count *int, errs chan<- error) func() {
	c.t.Helper()
	token, folder := c.token(serviceAccount), c.t.TempDir()
	mount := func(number int) error {
		conn, err := grpc.NewClient("unix:"+c.Path(socket), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		dir := filepath.Join(folder, strconv.Itoa(number))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		return csidriver.Mount(c.ctx, conn, csidriver.Volume{
			Namespace: c.namespace, ServiceAccount: serviceAccount, Pod: fmt.Sprint("other-", number), PodUID: fmt.Sprint("uid-", number), Class: "secrets",
			Parameters: map[string]string{"objects": objects}, Tokens: map[string]string{audience: token},
		}, dir)
	}
	return func() {
		var mounts sync.WaitGroup
		defer mounts.Wait()
		for tick := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			number := *count
			*count++
			mounts.Go(func() {
				if err := mount(number); err != nil {
					errs <- err
				}
			})
		}
	}
}

// After a power loss, all pods of the node start at once. The provider's cache is empty.
func TestReboot_ThirtyPodsAreReadyAgain(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-reboot")
	c.class("secrets", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`)
	const pods = 30
	c.deploy("many", pods, podSpec{classes: []string{"secrets"}})
	c.must(c.WaitPodsReady(c.ctx, c.namespace, "app=many", pods))
	c.aws.ResetCalls()
	start := time.Now()
	c.must(c.Reboot(c.ctx))
	t.Logf("the driver runs %.1f s after the power loss", time.Since(start).Seconds())
	c.must(c.WaitPodsReady(c.ctx, c.namespace, "app=many", pods))
	exchanges, reads := c.exchanges(), c.reads(name)
	took := time.Since(start) // after the counts, so that it covers all of them
	t.Logf("30 pods ready %.1f s after the power loss, with %d requests to STS and %d reads", took.Seconds(), exchanges, reads)
	if exchanges != 1 {
		t.Errorf("%d requests to STS, want 1", exchanges)
	}
	if most := int(took.Seconds()) + 1; reads > most {
		t.Errorf("%d reads, want at most %d: one a second", reads, most)
	}
	c.checkFirstSight("many", pods, "/mnt/secrets/password", "-rw-r--r-- correct-horse-reboot")
}

// failedMounts counts the FailedMount events.
func (c *tenant) failedMounts() int {
	c.t.Helper()
	var events struct {
		Items []struct{ Count int }
	}
	c.must(c.Get(c.ctx, "/api/v1/namespaces/"+c.namespace+"/events?fieldSelector=reason=FailedMount", &events))
	count := 0
	for _, e := range events.Items {
		count += max(e.Count, 1)
	}
	return count
}
