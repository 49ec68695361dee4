package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/docs"
)

// docs/benchmarks.md has a row for each scenario, in the same order.
func TestDocs_HaveEachScenario(t *testing.T) {
	rows, err := docs.Table("benchmarks.md", "Scenarios and figures")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range rows {
		documented = append(documented, docs.Code(row[0])...)
	}
	if diff := cmp.Diff(names(scenarios), documented); diff != "" {
		t.Errorf("scenarios (-code +docs/benchmarks.md):\n%s", diff)
	}
}
