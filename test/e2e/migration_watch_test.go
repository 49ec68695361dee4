//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// watcher reads the files of running pods without pause, and starts one pod after the other, while something changes.
type watcher struct {
	m       *migration
	stop    context.CancelFunc
	work    sync.WaitGroup
	files   []string // on the host, one of each running pod
	started int      // pods that started meanwhile
	startup error    // the first pod that did not start

	mu     sync.Mutex
	values map[string]bool // what a file may contain
	reads  int
	lost   []string // reads without a valid value
}

// watch runs pods that mount the class "secrets" and watches their file "password".
func (m *migration) watch(pods int) *watcher {
	m.t.Helper()
	value := m.values[len(m.values)-1]
	w := &watcher{m: m, values: map[string]bool{value: true}}
	for i := range pods {
		m.createPod(fmt.Sprint("running-", i), podSpec{classes: []string{"secrets"}})
	}
	for i := range pods {
		name := fmt.Sprint("running-", i)
		m.must(m.WaitPodReady(m.ctx, m.namespace, name))
		w.files = append(w.files, m.hostPath(name, 0, "password"))
	}
	var ctx context.Context
	ctx, w.stop = context.WithCancel(m.ctx)
	m.t.Cleanup(w.stop)
	w.work.Go(func() {
		for ctx.Err() == nil {
			w.read()
		}
	})
	w.work.Go(func() {
		for ; ctx.Err() == nil && w.startup == nil; w.started++ {
			w.startup = w.startPod(fmt.Sprint("starting-", w.started))
		}
	})
	return w
}

// read reads every file once.
func (w *watcher) read() {
	for _, file := range w.files {
		value, err := os.ReadFile(file)
		w.mu.Lock()
		w.reads++
		if err != nil {
			w.lost = append(w.lost, err.Error())
		} else if !w.values[string(value)] {
			w.lost = append(w.lost, fmt.Sprintf("%s has %d unexpected bytes", file, len(value)))
		}
		w.mu.Unlock()
	}
	time.Sleep(5 * time.Millisecond) // leaves the processor to the node
}

func (w *watcher) startPod(name string) error {
	if err := w.m.Apply(w.m.ctx, w.m.podManifest(name, "starting", podSpec{classes: []string{"secrets"}})); err != nil {
		return err
	}
	if err := w.m.WaitPodReady(w.m.ctx, w.m.namespace, name); err != nil {
		return err
	}
	_, err := w.m.Kubectl(w.m.ctx, "delete", "pod", name, "--namespace", w.m.namespace, "--wait=false")
	return err
}

// rotate changes the secret and waits until all running pods have the new value.
func (w *watcher) rotate(value string) {
	w.m.t.Helper()
	w.mu.Lock()
	w.values[value] = true
	w.mu.Unlock()
	w.m.secret("password", value)
	for _, file := range w.files {
		w.m.untilIs(2*time.Minute, file, value, func(context.Context) (string, error) {
			got, err := os.ReadFile(file)
			return string(got), err
		})
	}
}

// end stops the watch, and checks that no file was lost and no mount failed.
func (w *watcher) end() {
	w.m.t.Helper()
	w.stop()
	w.work.Wait()
	w.m.must(w.startup)
	failed := w.m.failedMounts()
	w.m.t.Logf("%d pods ran and %d started: %d reads, %d files lost, %d mounts failed", len(w.files), w.started, w.reads, len(w.lost), failed)
	if w.started == 0 || w.reads == 0 {
		w.m.t.Errorf("%d pods started and %d reads: the watch proves nothing", w.started, w.reads)
	}
	if len(w.lost) > 0 {
		w.m.t.Errorf("%d of %d reads found no valid value, the first: %s", len(w.lost), w.reads, w.lost[0])
	}
	if failed > 0 && !w.m.otherDriver {
		w.m.t.Errorf("%d mounts failed:\n%s", failed, w.m.kubectl("get", "events", "--field-selector=reason=FailedMount"))
	}
	// A driver that restarts is not registered for a moment, or its socket does not answer. Nothing else may fail.
	for message := range strings.Lines(w.m.kubectl("get", "events", "--field-selector=reason=FailedMount", "-o", `jsonpath={range .items[*]}{.message}{"\n"}{end}`)) {
		if !strings.Contains(message, "not found in the list of registered CSI drivers") && !strings.Contains(message, "csi.sock") {
			w.m.t.Errorf("a mount failed: %s", message)
		}
	}
}
