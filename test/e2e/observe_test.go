//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// pod has the fields of the API's pods that the cases need.
type pod struct {
	Metadata struct{ Name, UID string }
	Status   struct{ Phase, PodIP, HostIP string }
}

// podList is the API's list of pods.
type podList struct{ Items []pod }

// provider returns the only provider pod. It waits until the pod is ready and a pod it replaced is gone.
func (c *tenant) provider() pod {
	c.t.Helper()
	c.must(c.WaitPodsReady(c.ctx, releaseNamespace, providerLabels, 1))
	var pods podList
	c.must(c.Get(c.ctx, "/api/v1/namespaces/"+releaseNamespace+"/pods?labelSelector="+providerLabels, &pods))
	if len(pods.Items) != 1 {
		c.t.Fatalf("%d provider pods, want 1", len(pods.Items))
	}
	return pods.Items[0]
}

// get sends a request to a provider pod's admin port, from the host.
func (c *tenant) get(p pod, path string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(p.Status.PodIP, "8989")+path, nil)
	if err != nil {
		return 0, "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// metric returns a sample of the provider, by metric name and one label in Prometheus text format.
func (c *tenant) metric(name, label string) float64 {
	c.t.Helper()
	status, text, err := c.get(c.provider(), "/metrics")
	if err != nil || status != http.StatusOK {
		c.t.Fatalf("/metrics: %d, %v", status, err)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, name) && strings.Contains(line, label) {
			value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:len(line)-1], 64)
			c.must(err)
			return value
		}
	}
	c.t.Fatalf("no %s with %s in /metrics", name, label)
	return 0
}

// read returns a file as the container reads it.
func (c *tenant) read(pod, path string) string {
	c.t.Helper()
	text, err := c.Exec(c.ctx, c.namespace, pod, "cat", path)
	c.must(err)
	return text
}

// untilRead waits until the container reads want.
func (c *tenant) untilRead(pod, path, want string) {
	c.t.Helper()
	c.untilIs(2*time.Minute, path+" of pod "+pod, want, func(ctx context.Context) (string, error) {
		return c.Exec(ctx, c.namespace, pod, "cat", path)
	})
}

// files returns what the container printed last: path → mode and content. It waits for a container that is running
// but has not printed yet.
func (c *tenant) files(pod string) map[string]string {
	c.t.Helper()
	var sights []map[string]string
	c.until(time.Minute, "the files of pod "+pod, func(ctx context.Context) error {
		log, err := c.Kubectl(ctx, "logs", "--namespace", c.namespace, pod)
		if sights = sightsOf(log); err == nil && len(sights) == 0 {
			err = errors.New("it has printed nothing")
		}
		return err
	})
	return sights[len(sights)-1]
}

// checkFirstSight checks that each pod of a Deployment had the file when its container started. A pod must not start without its
// secrets and get them later.
func (c *tenant) checkFirstSight(deployment string, count int, path, want string) {
	c.t.Helper()
	first := map[string]map[string]string{}
	c.until(time.Minute, fmt.Sprintf("the first files of %d pods of %s", count, deployment), func(ctx context.Context) error {
		text, err := c.Kubectl(ctx, "logs", "--namespace", c.namespace, "--selector=app="+deployment, "--prefix", "--tail=-1", "--max-log-requests=100")
		if err != nil {
			return err
		}
		logs := map[string]string{}
		for line := range strings.Lines(text) {
			pod, rest, _ := strings.Cut(line, " ")
			logs[pod] += rest
		}
		clear(first)
		for pod, log := range logs {
			if sights := sightsOf(log); len(sights) > 0 {
				first[pod] = sights[0]
			}
		}
		if len(first) != count {
			return fmt.Errorf("%d pods have printed their files", len(first))
		}
		return nil
	})
	for pod, sight := range first {
		if sight[path] != want {
			c.t.Errorf("%s started with %v, want %s there", pod, sight, path)
		}
	}
}

// sightsOf parses the log of the test workload. Each change is one block: a line with the time, one line per file, and "end".
// It ignores an incomplete last block.
func sightsOf(log string) []map[string]string {
	var sights []map[string]string
	sight := map[string]string{}
	for line := range strings.Lines(log) {
		fields := strings.SplitN(strings.TrimSpace(line), " ", 3)
		switch {
		case fields[0] == "end":
			sights = append(sights, sight)
			sight = map[string]string{}
		case len(fields) == 3:
			content, err := strconv.Unquote(fields[2])
			if err != nil {
				content = line // an error that the workload printed
			}
			sight[fields[1]] = fields[0] + " " + content
		}
	}
	return sights
}
