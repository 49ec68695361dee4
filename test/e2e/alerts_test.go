//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"secrets-provider-aws/test/awssim"
)

// A region of AWS is cut off, and comes back. Meanwhile a real Prometheus scrapes the provider: the alerts fire, the pods have
// Events, the commands of the runbooks show the cause, and every query of the dashboard returns data. Afterwards all alerts end
// by themselves. Prometheus reads a minute of the alerts as two seconds.
func TestAlerts_ARegionFailsAndComesBack(t *testing.T) {
	c := newTenant(t)
	c.restartProvider() // no state of the cases before
	name, busy := c.secret("password", "correct-horse-alerts"), c.secret("busy", "correct-horse-busy")
	c.aws.PutSecret(failoverRegion, name, "correct-horse-alerts")
	c.class("single", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`)
	c.class("double", `[{objectName: `+name+`, objectType: secretsmanager, objectAlias: password}]`, "    failoverRegion: "+failoverRegion)
	c.class("busy", `[{objectName: `+busy+`, objectType: secretsmanager, objectAlias: password}]`)
	c.setRole(c.namespace+"-stranger", c.trust(c.namespace, "stranger"))
	c.apply(fmt.Sprintf("{apiVersion: v1, kind: ServiceAccount, metadata: {name: stranger, namespace: %s, annotations: {eks.amazonaws.com/role-arn: %s-stranger}}}",
		c.namespace, c.roleARN()))
	s := &story{tenant: c, prometheus: c.startPrometheus(c.provider()), start: time.Now()}
	for _, class := range []string{"single", "double"} {
		c.runPod(class, podSpec{classes: []string{class}})
	}
	for _, pod := range []string{"busy", "busier"} { // a rate needs the count before
		t.Cleanup(c.aws.Inject(awssim.Fault{Object: busy, Code: "ThrottlingException", Count: 2}))
		c.runPod(pod, podSpec{classes: []string{"busy"}})
		s.waitForSeries(`secrets_provider_aws_requests_total{code="ThrottlingException"}`)
	}
	s.waitForNoAlert()

	s.begin("cut")
	remove := c.aws.Inject(awssim.Fault{Region: region, Cut: true})
	defer remove()
	s.event("single", "SecretRefreshFailed")
	s.event("double", "SecretServedFromFailoverRegion")
	c.runPod("late", podSpec{classes: []string{"single"}})
	s.event("late", "SecretServedStale")
	// A pod that cannot start comes every second, as those of a Deployment that scales.
	strangers, last := 0, time.Time{}
	s.waitForAlerts(func() {
		if strangers < 60 && time.Since(last) > time.Second {
			c.createPod(fmt.Sprint("stranger-", strangers), podSpec{classes: []string{"single"}, serviceAccount: "stranger"})
			strangers, last = strangers+1, time.Now()
		}
	}, "SecretsProviderServingStale", "SecretsProviderFirstMountsFailing", "SecretsProviderFailoverActive", "SecretsProviderRefreshFailing")
	s.checkRunbooks()

	s.begin("return")
	remove()
	s.event("single", "SecretRefreshRecovered")
	c.must(c.WaitPodReady(c.ctx, c.namespace, "stranger-0"))
	s.log("the pods that could not start are ready")
	s.waitForNoAlert()
	s.log("no alert fires")
	for _, alert := range []string{"SecretsProviderMemoryNearLimit", "SecretsProviderAbsent", "SecretsProviderSocketNotAnswering"} {
		if s.fired[alert] {
			t.Errorf("%s fired", alert)
		}
	}
	s.draw()
}

// restartProvider replaces the provider's pod.
func (c *tenant) restartProvider() {
	c.t.Helper()
	_, err := c.Kubectl(c.ctx, "delete", "pod", "--namespace", releaseNamespace, c.provider().Metadata.Name)
	c.must(err)
	c.provider()
}

// story is a case that Prometheus watches. It prints when something happens.
type story struct {
	*tenant
	*prometheus
	start time.Time
	part  string // the last thing that the case did
	since time.Time
	marks []string        // flags of the picture
	fired map[string]bool // all alerts so far
}

func (s *story) begin(part string) {
	s.part, s.since = part, time.Now()
	s.marks = append(s.marks, "--mark="+part+"="+s.since.Format(time.RFC3339Nano))
}

func (s *story) log(what string) {
	s.t.Helper()
	s.t.Logf("%5.1f s after the %s: %s", time.Since(s.since).Seconds(), s.part, what)
}

// event waits for an Event of a pod.
func (s *story) event(pod, reason string) {
	s.t.Helper()
	event, err := s.WaitPodEvent(s.ctx, s.namespace, pod, reason, "")
	s.must(err)
	s.log("pod " + pod + ": " + event.Reason + ": " + event.Message)
}

// waitForAlerts waits until each of the alerts has fired, and does something meanwhile.
func (s *story) waitForAlerts(meanwhile func(), alerts ...string) {
	s.t.Helper()
	s.fired = map[string]bool{}
	s.until(5*time.Minute, "alerts", func(ctx context.Context) error {
		meanwhile()
		firing, err := s.firing(ctx)
		if err != nil {
			return err
		}
		for alert := range firing {
			if !s.fired[alert] {
				s.fired[alert] = true
				s.log(alert + " fires")
			}
		}
		for _, alert := range alerts {
			if !s.fired[alert] {
				return fmt.Errorf("%s has not fired", alert)
			}
		}
		return nil
	})
}

func (s *story) waitForNoAlert() {
	s.t.Helper()
	s.until(5*time.Minute, "the end of the alerts", func(ctx context.Context) error {
		firing, err := s.firing(ctx)
		if err == nil && len(firing) > 0 {
			err = fmt.Errorf("these fire: %v", firing)
		}
		return err
	})
}

func (s *story) waitForSeries(query string) {
	s.t.Helper()
	s.until(time.Minute, query, func(ctx context.Context) error {
		result, err := s.query(ctx, query)
		if err == nil && result == "" {
			err = errors.New("no data")
		}
		return err
	})
}

// draw writes the picture of the dashboard. It fails if a query of the dashboard returns nothing.
func (s *story) draw() {
	s.t.Helper()
	folder := s.t.TempDir()
	board, err := os.ReadFile("../../deployment/observability/dashboard.json")
	s.must(err)
	file := filepath.Join(folder, "dashboard.json")
	s.must(os.WriteFile(file, []byte(quick(string(board))), 0o600))
	picture := os.Getenv("E2E_PICTURE")
	if picture == "" {
		picture = filepath.Join(folder, "dashboard.png")
	}
	arguments := append([]string{
		"run", "-C", "../../deployment/observability/dashboard", "./picture", "--prometheus", s.url, "--rate-interval", "10s", "--step", "1s",
		"--from", s.start.Format(time.RFC3339Nano), "--to", time.Now().Format(time.RFC3339Nano),
	}, s.marks...)
	cmd := exec.CommandContext(s.ctx, "go", append(arguments, file)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	png, err := cmd.Output()
	if err != nil {
		s.t.Errorf("%v: %s", err, errs.String())
	}
	s.must(os.WriteFile(picture, png, 0o644))
	s.t.Logf("the picture of the dashboard: %s, %d bytes", picture, len(png))
}
