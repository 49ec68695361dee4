package deployment_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/docs"
)

// rule is an alert in the words of Prometheus.
type rule struct {
	Alert, Expr string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	decodeFile(t, "observability/alerts.yaml", &file)
	var all []rule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 8 {
		t.Fatalf("only %d alerts", len(all))
	}
	return all
}

// Every alert says what to do, in a section of docs/operations.md with the four parts that a reader at night needs.
func TestAlerts_HaveRunbooks(t *testing.T) {
	const page = "https://github.com/secrets-provider-aws/secrets-provider-aws/blob/main/docs/operations.md#"
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, runbooks, _ := strings.Cut(string(text), "\n## Alerts\n")
	sections := map[string]string{}
	for _, section := range strings.Split(runbooks, "\n### ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		sections[name] = body
	}
	for _, alert := range alerts(t) {
		if alert.Annotations["runbook_url"] != page+strings.ToLower(alert.Alert) {
			t.Errorf("%s has the runbook_url %s", alert.Alert, alert.Annotations["runbook_url"])
		}
		for _, part := range []string{"**Meaning.**", "**Who is affected.**", "**Commands.**", "**Cure.**"} {
			if !strings.Contains(sections[alert.Alert], part) {
				t.Errorf("docs/operations.md has no %s for %s", part, alert.Alert)
			}
		}
		if alert.Labels["severity"] == "" || alert.Annotations["summary"] == "" || alert.Annotations["description"] == "" {
			t.Errorf("%s lacks a severity, a summary or a description", alert.Alert)
		}
		delete(sections, alert.Alert)
	}
	for name := range sections {
		t.Errorf("docs/operations.md has a section for %s, which is no alert", name)
	}
}

// promtool's tests show of every alert that it does not fire too early, that it fires, and that it resolves.
func TestAlerts_HaveTests(t *testing.T) {
	var file struct {
		Tests []struct {
			Cases []struct {
				Alert    string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	decodeFile(t, "observability/alerts.test.yaml", &file)
	fires := map[string]string{} // alert → F where it fires and - where it does not, a test after the other
	for _, test := range file.Tests {
		for _, c := range test.Cases {
			if len(c.Expected) > 0 {
				fires[c.Alert] += "F"
			} else {
				fires[c.Alert] += "-"
			}
		}
	}
	for _, alert := range alerts(t) {
		if !strings.Contains(fires[alert.Alert], "-F-") {
			t.Errorf("no test in which %s does not fire, then fires, then resolves", alert.Alert)
		}
	}
}

// dashboardQueries are the PromQL queries of the dashboard, without Grafana's variables.
func dashboardQueries(t *testing.T) []string {
	t.Helper()
	var board struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	text, err := os.ReadFile("observability/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			all = append(all, strings.NewReplacer("$__rate_interval", "5m", "$node", ".*").Replace(target.Expr))
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %d queries", len(all))
	}
	return all
}

// Every metric of the provider in an alert or on the dashboard is one that it has.
func TestObservability_MetricsExist(t *testing.T) {
	rows, err := docs.Table("reference.md", "Metrics") // which a test compares with the code
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, row := range rows {
		known[docs.Code(row[0])[0]] = true
	}
	queries := dashboardQueries(t)
	for _, alert := range alerts(t) {
		queries = append(queries, alert.Expr)
	}
	for _, query := range queries {
		for _, name := range regexp.MustCompile(`\bsecrets_provider_aws_\w+`).FindAllString(query, -1) {
			if !known[name] && !known[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("the provider has no metric %s, in %s", name, query)
			}
		}
	}
}

// The dashboard is what its generator makes.
func TestDashboard_IsCurrent(t *testing.T) {
	var messages bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", "run", "-C", "observability/dashboard", ".")
	cmd.Stderr = &messages
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &messages)
	}
	want, err := os.ReadFile("observability/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("observability/dashboard.json differs from what its generator makes: run make dashboard")
	}
}

// Prometheus's own parser reads each query of the dashboard.
func TestDashboard_QueriesAreValid(t *testing.T) {
	promtool := os.Getenv("PROMTOOL")
	if promtool == "" {
		t.Skip("PROMTOOL is not set: run make alerts")
	}
	type record struct{ Record, Expr string }
	type group struct {
		Name  string
		Rules []record
	}
	rules := group{Name: "dashboard"}
	for _, query := range dashboardQueries(t) {
		rules.Rules = append(rules.Rules, record{"dashboard:query", query})
	}
	text, err := yaml.Marshal(map[string][]group{"groups": {rules}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", "--lint=none", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// The chart installs the alerts and the dashboard unchanged, but for the name of the DaemonSet.
func TestChart_InstallsTheAlertsAndTheDashboard(t *testing.T) {
	rendered, err := render(t, chart(t), []byte("{prometheusRule: {enabled: true}, dashboard: {enabled: true}}"))
	if err != nil {
		t.Fatal(err)
	}
	var installed struct {
		Rules []rule
		Board any
	}
	for document := range strings.SplitSeq(ours(rendered), "---\n") {
		var o struct {
			Kind string
			Spec struct{ Groups []struct{ Rules []rule } }
			Data map[string]string
		}
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		if o.Kind == "PrometheusRule" {
			installed.Rules = o.Spec.Groups[0].Rules
		}
		if o.Kind == "ConfigMap" {
			if err := json.Unmarshal([]byte(o.Data["secrets-provider-aws.json"]), &installed.Board); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := alerts(t)
	if !slices.EqualFunc(installed.Rules, want, func(a, b rule) bool {
		return a.Alert == b.Alert && strings.TrimSpace(a.Expr) == strings.TrimSpace(b.Expr) && a.Annotations["description"] == b.Annotations["description"]
	}) {
		t.Errorf("the chart installs the alerts %+v, want %+v", installed.Rules, want)
	}
	var board any
	text, err := os.ReadFile("observability/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(board, installed.Board); diff != "" {
		t.Errorf("the dashboard (-want +installed):\n%s", diff)
	}
}
