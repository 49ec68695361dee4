package class_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
)

// params are the parameters of a SecretProviderClass.
type params = map[string]string

// region is where the tests read from.
const region = "ap-south-1"

// plain ignores what Class keeps for itself: places in the text, compiled expressions.
var plain = cmp.Options{
	cmpopts.IgnoreUnexported(class.Object{}, class.FileSpec{}, class.Failover{}),
	cmpopts.IgnoreFields(class.FileSpec{}, "Selector"),
}

// lines is the text of `objects` of some lines.
func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

// parse parses objects, with further parameters, that must be right.
func parse(t testing.TB, objects string, more params) class.Class {
	t.Helper()
	spc, err := class.Parse(withObjects(objects, more), region)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return spc
}

// warnings are the texts of a class's warnings.
func warnings(spc class.Class) []string {
	var texts []string
	for _, w := range spc.Warnings {
		texts = append(texts, w.String())
	}
	return texts
}

// faults parses objects, with further parameters, and lists what is wrong with them.
func faults(t testing.TB, objects string, more params) []class.Fault {
	t.Helper()
	return faultsOf(t, withObjects(objects, more))
}

// faultsOf lists what is wrong with parameters: nil where nothing is.
func faultsOf(t testing.TB, p params) []class.Fault {
	t.Helper()
	_, err := class.Parse(p, region)
	return faultsIn(t, err)
}

// faultsIn takes the list out of an error, which must be of kind Class and one line.
func faultsIn(t testing.TB, err error) []class.Fault {
	t.Helper()
	if err == nil {
		return nil
	}
	var list *class.Error
	if !errors.As(err, &list) {
		t.Fatalf("error %v is a %T and holds no *Error", err, err)
	}
	if kind := fault.KindOf(err); kind != fault.Class {
		t.Errorf("kind %v, want %v", kind, fault.Class)
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("the error is more than one line: %q", err)
	}
	return list.Faults
}

// wantFaults fails the test unless the faults are exactly these.
func wantFaults(t testing.TB, got []class.Fault, want ...class.Fault) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// fileList shows the files of a class in short: `path`, `path mode` or `path mode < expression`.
func fileList(spc class.Class) []string {
	var list []string
	for _, o := range spc.Objects {
		for _, f := range o.Files {
			s := f.Path
			if f.Mode != nil {
				s += fmt.Sprintf(" %04o", uint32(*f.Mode))
			}
			if f.Expression != "" {
				s += " < " + f.Expression
			}
			list = append(list, s)
		}
	}
	return list
}

// wantFiles fails the test unless the class makes exactly these files.
func wantFiles(t testing.TB, spc class.Class, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, fileList(spc)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// withObjects are parameters with objects among them.
func withObjects(objects string, more params) params {
	p := params{"objects": objects}
	for k, v := range more {
		p[k] = v
	}
	return p
}

// secret is an entry of `objects` for a secret of this name.
func secret(name string) string {
	return fmt.Sprintf("- objectName: %s\n  objectType: secretsmanager\n", name)
}
