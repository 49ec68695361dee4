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

// region is the tests' primary region.
const region = "ap-south-1"

// plain ignores the unexported fields of Class, which hold positions and compiled expressions.
var plain = cmp.Options{
	cmpopts.IgnoreUnexported(class.Object{}, class.FileSpec{}, class.Failover{}),
	cmpopts.IgnoreFields(class.FileSpec{}, "Selector"),
}

// lines joins lines to the text of `objects`.
func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

// parse parses valid objects with more parameters.
func parse(t testing.TB, objects string, more params) class.Class {
	t.Helper()
	c, err := class.Parse(withObjects(objects, more), region)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return c
}

// warnings are the texts of a class's warnings.
func warnings(c class.Class) []string {
	var texts []string
	for _, w := range c.Warnings {
		texts = append(texts, w.String())
	}
	return texts
}

// faults parses objects with more parameters and lists their faults.
func faults(t testing.TB, objects string, more params) []class.Fault {
	t.Helper()
	return faultsOf(t, withObjects(objects, more))
}

// faultsOf lists the faults of parameters, nil if they are valid.
func faultsOf(t testing.TB, p params) []class.Fault {
	t.Helper()
	_, err := class.Parse(p, region)
	return faultsIn(t, err)
}

// faultsIn returns the faults in an error, which must be of kind Class and one line.
func faultsIn(t testing.TB, err error) []class.Fault {
	t.Helper()
	if err == nil {
		return nil
	}
	var list *class.Error
	if !errors.As(err, &list) {
		t.Fatalf("error %v is a %T without an *Error", err, err)
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

// fileList formats the files of a class as `path`, `path mode` or `path mode < expression`.
func fileList(c class.Class) []string {
	var list []string
	for _, o := range c.Objects {
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
func wantFiles(t testing.TB, c class.Class, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, fileList(c)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// withObjects adds objects to parameters.
func withObjects(objects string, more params) params {
	p := params{"objects": objects}
	for k, v := range more {
		p[k] = v
	}
	return p
}

// secret is an entry of `objects` for a secret with this name.
func secret(name string) string {
	return fmt.Sprintf("- objectName: %s\n  objectType: secretsmanager\n", name)
}
