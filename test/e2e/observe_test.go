//go:build e2e

package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// pod has the fields of the API's pods that cases look at.
type pod struct {
	Metadata struct{ Name, UID string }
	Status   struct{ Phase, PodIP string }
}

// podList is the API's answer about pods.
type podList struct{ Items []pod }

// provider returns the only provider pod.
func (c *tenant) provider() pod {
	c.t.Helper()
	var pods podList
	c.must(c.Get(c.ctx, "/api/v1/namespaces/"+releaseNamespace+"/pods?labelSelector="+providerLabels, &pods))
	if len(pods.Items) != 1 {
		c.t.Fatalf("%d provider pods, want 1", len(pods.Items))
	}
	return pods.Items[0]
}

// get asks a provider pod's admin port, from the host.
func (c *tenant) get(p pod, path string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, 5*time.Second)
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

// metric is a sample of the provider's, by its name and one of its labels as it is written.
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

// read is what a container reads in a file.
func (c *tenant) read(pod, path string) string {
	c.t.Helper()
	text, err := c.Exec(c.ctx, c.namespace, pod, "cat", path)
	c.must(err)
	return text
}

// untilRead waits until a container reads that.
func (c *tenant) untilRead(pod, path, want string) {
	c.t.Helper()
	c.untilIs(2*time.Minute, path+" of pod "+pod, want, func(ctx context.Context) (string, error) {
		return c.Exec(ctx, c.namespace, pod, "cat", path)
	})
}

// files are what a container saw last below its folders: path to mode and content.
func (c *tenant) files(pod string) map[string]string {
	c.t.Helper()
	sights := sightsOf(c.kubectl("logs", pod))
	if len(sights) == 0 {
		c.t.Fatalf("pod %s saw nothing", pod)
	}
	return sights[len(sights)-1]
}

// checkFirstSight checks that the file was there when the container started, in each of the pods of a Deployment: a pod must not start
// without its secrets and get them later.
func (c *tenant) checkFirstSight(deployment string, count int, path, want string) {
	c.t.Helper()
	logs := map[string]string{}
	for line := range strings.Lines(c.kubectl("logs", "--selector=app="+deployment, "--prefix", "--tail=-1", "--max-log-requests=100")) {
		pod, text, _ := strings.Cut(line, " ")
		logs[pod] += text
	}
	if len(logs) != count {
		c.t.Errorf("%d pods have a log, want %d", len(logs), count)
	}
	for pod, log := range logs {
		if sights := sightsOf(log); len(sights) == 0 || sights[0][path] != want {
			c.t.Errorf("%s started with %v, want %s there", pod, sights, path)
		}
	}
}

// sightsOf reads the log of the test workload: a line with the time, and after it one for each file, whenever something changed.
func sightsOf(log string) []map[string]string {
	var sights []map[string]string
	for line := range strings.Lines(log) {
		fields := strings.SplitN(strings.TrimSpace(line), " ", 3)
		switch {
		case len(fields) == 1:
			sights = append(sights, map[string]string{})
		case len(fields) == 3 && len(sights) > 0:
			content, err := strconv.Unquote(fields[2])
			if err != nil {
				content = line // an error that it met
			}
			sights[len(sights)-1][fields[1]] = fields[0] + " " + content
		}
	}
	return sights
}
