package class

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/docs"
)

// docs/reference.md documents exactly the parameters that Parse reads.
func TestReference_Parameters(t *testing.T) {
	if diff := cmp.Diff(slices.Sorted(slices.Values(knownParams)), inFirstColumn(t, "Parameters")); diff != "" {
		t.Errorf("parameters (-code +docs/reference.md):\n%s", diff)
	}
}

// docs/reference.md documents exactly the fields that Parse reads.
func TestReference_Fields(t *testing.T) {
	read := namesOf(objectFields)
	for _, name := range namesOf(jmesPathFields) {
		read = append(read, "jmesPath[]."+name)
	}
	for _, name := range namesOf(failoverFields) {
		read = append(read, "failoverObject."+name)
	}
	slices.Sort(read)
	if diff := cmp.Diff(read, inFirstColumn(t, "Fields of `objects`")); diff != "" {
		t.Errorf("fields (-code +docs/reference.md):\n%s", diff)
	}
}

func inFirstColumn(t *testing.T, heading string) []string {
	t.Helper()
	rows, err := docs.Table("reference.md", heading)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, row := range rows {
		names = append(names, docs.Code(row[0])...)
	}
	slices.Sort(names)
	return names
}
