// Package deployment contains the Helm chart, the manifests rendered from it, and the examples. The Go package gives
// them to the tests, which install and apply each of them.
package deployment

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// driverModule is the Go module of the Secrets Store CSI driver, which contains the sub-chart.
const driverModule = "sigs.k8s.io/secrets-store-csi-driver"

//go:embed all:chart
var chart embed.FS

// observability holds the files that the chart installs for Prometheus and Grafana.
//
//go:embed observability/alerts.yaml observability/dashboard.json
var observability embed.FS

//go:embed testdata/values testdata/crds testdata/aws-chart
var testdata embed.FS

// WriteChart writes the complete chart to the new folder dir, with the driver's chart from the driver's Go module as the
// sub-chart. "helm dependency build" does the same from the driver's Helm repository.
func WriteChart(ctx context.Context, dir string) error { return writeChart(ctx, chart, "chart", dir) }

// WriteAWSChart writes a stand-in for AWS's chart to the new folder dir, for tests of a migration: it makes objects with the
// names, labels and selectors of AWS's chart. Its sub-chart is the same as that of WriteChart.
func WriteAWSChart(ctx context.Context, dir string) error {
	return writeChart(ctx, testdata, "testdata/aws-chart", dir)
}

// writeChart writes the chart in folder of files, and its sub-chart.
func writeChart(ctx context.Context, files fs.FS, folder, dir string) error {
	tree, err := fs.Sub(files, folder)
	if err != nil {
		return err
	}
	module, err := driverDir(ctx)
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, withoutSubCharts{tree}); err != nil {
		return err
	}
	own, err := fs.Sub(observability, "observability")
	if err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(dir, "files"), own); err != nil {
		return err
	}
	name := path.Base(driverModule)
	return os.CopyFS(filepath.Join(dir, "charts", name), os.DirFS(filepath.Join(module, "charts", name)))
}

// withoutSubCharts hides the charts that "helm dependency build" wrote to a checkout.
type withoutSubCharts struct{ fs.FS }

func (w withoutSubCharts) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(w.FS, name)
	kept := entries[:0]
	for _, entry := range entries {
		if name != "." || entry.Name() != "charts" {
			kept = append(kept, entry)
		}
	}
	return kept, err
}

// driverDir is the folder of the driver's module, in the version of go.mod.
func driverDir(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", driverModule).Output()
	var module struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &module); jsonErr != nil || module.Error != "" || module.Dir == "" {
		return "", fmt.Errorf("find the module %s: %s (%w)", driverModule, module.Error, err)
	}
	return module.Dir, nil
}

// Rendering is a set of values to install the chart with.
type Rendering struct {
	Name   string   // of the values file and the golden file
	Values []byte   // YAML, for "helm --values"
	CRDs   [][]byte // YAML of more CustomResourceDefinitions that the cluster needs
}

// Renderings lists the sets of values that the tests install: the defaults, and each option.
func Renderings() []Rendering {
	var all []Rendering
	for _, file := range mustReadDir(testdata, "testdata/values") {
		r := Rendering{Name: strings.TrimSuffix(file.Name(), ".yaml"), Values: mustRead(testdata, "testdata/values/"+file.Name())}
		switch r.Name {
		case "pod-monitor":
			r.CRDs = append(r.CRDs, mustRead(testdata, "testdata/crds/podmonitor.yaml"))
		case "prometheus-rule":
			r.CRDs = append(r.CRDs, mustRead(testdata, "testdata/crds/prometheusrule.yaml"))
		}
		all = append(all, r)
	}
	return all
}

// Reading embedded files cannot fail.

func mustRead(f embed.FS, name string) []byte {
	content, err := f.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return content
}

func mustReadDir(f embed.FS, name string) []fs.DirEntry {
	entries, err := f.ReadDir(name)
	if err != nil {
		panic(err)
	}
	return entries
}
