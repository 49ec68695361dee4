//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

// prometheus is a Prometheus on the host that scrapes the provider every second, with the alerts of this repository.
type prometheus struct {
	url string
	api v1.API
}

var (
	inMinutes = regexp.MustCompile(`\b\d+(m\b| \* 60\b)`)
	listening = regexp.MustCompile(`msg="Listening on" component=web address=(\S+)`)
)

// minute stands for a minute of alerts and of the dashboard. A shared failure of new pods repeats every 5 to 8 s, and must count in
// each window of 5 minutes, as the kubelet's attempts do.
const minute = 2 * time.Second

// quick reads each minute of alerts, or of a dashboard, as minute: [5m] becomes [10s], and 15 * 60 becomes 30.
func quick(text string) string {
	return inMinutes.ReplaceAllStringFunc(text, func(s string) string {
		number, seconds := strings.CutSuffix(s, " * 60")
		minutes, err := strconv.Atoi(strings.TrimSuffix(number, "m"))
		if err != nil {
			return s
		}
		short := strconv.Itoa(minutes * int(minute/time.Second))
		if !seconds {
			short += "s"
		}
		return short
	})
}

// startPrometheus starts Prometheus for the provider's pod, with the labels of the chart's PodMonitor. It ends with the case.
func (c *tenant) startPrometheus(p pod) *prometheus {
	c.t.Helper()
	program := os.Getenv("PROMETHEUS")
	if program == "" {
		c.t.Fatal("PROMETHEUS is not set: run make e2e")
	}
	folder := c.t.TempDir()
	rules, err := os.ReadFile("../../deployment/observability/alerts.yaml")
	c.must(err)
	c.must(os.WriteFile(filepath.Join(folder, "alerts.yaml"), []byte(quick(string(rules))), 0o600))
	config := filepath.Join(folder, "prometheus.yaml")
	c.must(os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [alerts.yaml]
scrape_configs:
  - job_name: kube-system/secrets-provider-aws
    static_configs: [{targets: [%q], labels: {node: %q}}]
`, p.Status.PodIP+":8989", c.nodeName()), 0o600))

	cmd := exec.CommandContext(c.ctx, program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(folder, "data"), "--web.listen-address=127.0.0.1:0")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	log, err := cmd.StderrPipe()
	c.must(err)
	c.must(cmd.Start())
	address := make(chan string, 1)
	exited := make(chan error, 1)
	var tail []string // complete when it has exited
	go func() {
		for lines := bufio.NewScanner(log); lines.Scan(); {
			tail = append(tail, lines.Text())
			if at := listening.FindStringSubmatch(lines.Text()); at != nil {
				address <- at[1]
			}
		}
		exited <- cmd.Wait()
	}()
	c.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-exited
	})
	select {
	case at := <-address:
		p := &prometheus{url: "http://" + at}
		client, err := api.NewClient(api.Config{Address: p.url})
		c.must(err)
		p.api = v1.NewAPI(client)
		return p
	case err := <-exited:
		exited <- err
		c.t.Fatalf("Prometheus exited: %v\n%s", err, strings.Join(tail, "\n"))
	case <-time.After(time.Minute):
		c.t.Fatal("Prometheus does not listen after a minute")
	}
	return nil
}

// firing returns the names of the alerts that fire.
func (p *prometheus) firing(ctx context.Context) (map[string]bool, error) {
	found, err := p.api.Alerts(ctx)
	names := map[string]bool{}
	for _, a := range found.Alerts {
		if a.State == v1.AlertStateFiring {
			names[string(a.Labels["alertname"])] = true
		}
	}
	return names, err
}

// query returns the result of a query as text, with a line for each series.
func (p *prometheus) query(ctx context.Context, query string) (string, error) {
	result, _, _, err := p.api.Query(ctx, query, time.Now())
	if err != nil {
		return "", err
	}
	return result.String(), nil
}
