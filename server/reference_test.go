package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/docs"
	"secrets-provider-aws/internal/fault"
)

// docs/reference.md lists the gRPC code of each kind of failure, the most severe first.
func TestD27_ReferenceErrors(t *testing.T) {
	rows, err := docs.Table("reference.md", "Errors")
	if err != nil {
		t.Fatal(err)
	}
	type line struct{ Kind, Code string }
	var codes, documented []line
	for _, row := range rows {
		documented = append(documented, line{docs.Code(row[0])[0], docs.Code(row[1])[0]})
	}
	for _, kind := range fault.Kinds() { // the most severe first
		codes = append(codes, line{kind.String(), statusCodes[kind].String()})
	}
	if diff := cmp.Diff(codes, documented); diff != "" {
		t.Errorf("codes (-code +docs/reference.md):\n%s", diff)
	}
}
