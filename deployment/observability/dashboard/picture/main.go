// Command picture draws a Grafana dashboard as PNG, with the data of a Prometheus. It is for documentation, and for tests: it fails if
// a query of the dashboard returns no data.
//
//	picture --prometheus http://127.0.0.1:9090 --from 2026-01-01T00:00:00Z --to 2026-01-01T01:00:00Z dashboard.json > dashboard.png
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// board has the fields of Grafana's dashboard that a picture needs.
type board struct {
	Title  string
	Panels []panel
}

type panel struct {
	Type, Title string
	Position    struct{ X, Y, W, H int } `json:"gridPos"` // in columns and rows of Grafana's grid, from the top left
	Options     struct {
		Defaults struct{ Unit string }
	} `json:"fieldConfig"`
	Targets []struct{ Expr, LegendFormat string }

	lines []line
}

// line is one time series of a panel.
type line struct {
	legend string
	points []model.SamplePair
}

func main() {
	var (
		r     v1.Range
		marks marks
	)
	prometheus := flag.String("prometheus", "http://127.0.0.1:9090", "`URL` of Prometheus")
	flag.TextVar(&r.Start, "from", time.Now().Add(-time.Hour), "the first moment, as `RFC 3339`")
	flag.TextVar(&r.End, "to", time.Now(), "the last moment, as `RFC 3339`")
	flag.DurationVar(&r.Step, "step", 15*time.Second, "between two points")
	interval := flag.String("rate-interval", "1m", "for $__rate_interval: at least four times Prometheus's scrape interval")
	flag.Var(&marks, "mark", "a moment to mark, as `TEXT=RFC 3339`; may be repeated")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "picture: name one dashboard file")
		os.Exit(2)
	}
	if err := run(os.Stdout, *prometheus, flag.Arg(0), r, *interval, marks); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

// run writes the picture, also if panels have no data. The error then names them.
func run(out io.Writer, prometheus, file string, r v1.Range, interval string, marks marks) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var b board
	if err := json.Unmarshal(text, &b); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	client, err := api.NewClient(api.Config{Address: prometheus})
	if err != nil {
		return err
	}
	problems := b.query(context.Background(), v1.NewAPI(client), r, strings.NewReplacer("$__rate_interval", interval, "$node", ".*"))
	var picture bytes.Buffer
	if err := b.draw(&picture, r, marks); err != nil {
		return errors.Join(problems, err)
	}
	_, err = out.Write(picture.Bytes())
	return errors.Join(problems, err)
}

// query fills the panels. Its error names the queries that fail or return nothing.
func (b *board) query(ctx context.Context, prometheus v1.API, r v1.Range, variables *strings.Replacer) error {
	var errs []error
	for i := range b.Panels {
		p := &b.Panels[i]
		for _, target := range p.Targets {
			value, _, _, err := prometheus.QueryRange(ctx, variables.Replace(target.Expr), r)
			if err != nil {
				errs = append(errs, fmt.Errorf("panel %q: %w", p.Title, err))
				continue
			}
			matrix, _ := value.(model.Matrix)
			if len(matrix) == 0 {
				errs = append(errs, fmt.Errorf("panel %q: no data for %s", p.Title, target.Expr))
			}
			for _, series := range matrix {
				p.lines = append(p.lines, line{legend(target.LegendFormat, series.Metric), series.Values})
			}
		}
	}
	return errors.Join(errs...)
}

// legend fills in Grafana's template: "{{phase}} median" becomes "first median".
func legend(format string, labels model.Metric) string {
	for name, value := range labels {
		format = strings.ReplaceAll(format, "{{"+string(name)+"}}", string(value))
	}
	return strings.Join(strings.Fields(format), " ")
}

// mark is a moment of the story that the picture tells.
type mark struct {
	text string
	at   time.Time
}

type marks []mark

func (m *marks) String() string { return fmt.Sprint(len(*m), " marks") }

// Set implements flag.Value.
func (m *marks) Set(s string) error {
	text, moment, _ := strings.Cut(s, "=")
	at, err := time.Parse(time.RFC3339Nano, moment)
	*m = append(*m, mark{text, at})
	return err
}
