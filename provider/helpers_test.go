package provider_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"secrets-provider-aws/provider"
	"secrets-provider-aws/provider/fault"
)

// params are the parameters of a SecretProviderClass.
type params = map[string]string

// region is where the tests read from.
const region = "ap-south-1"

// plain ignores what Class keeps for itself: places in the text, compiled expressions.
var plain = cmpopts.IgnoreUnexported(provider.Object{}, provider.FileSpec{}, provider.Failover{})

// lines is the text of `objects` of some lines.
func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

// parse parses objects, with further parameters, that must be right.
func parse(t testing.TB, objects string, more params) provider.Class {
	t.Helper()
	class, err := provider.ParseClass(withObjects(objects, more), region)
	if err != nil {
		t.Fatalf("ParseClass: %v", err)
	}
	return class
}

// warnings are the texts of a class's warnings.
func warnings(class provider.Class) []string {
	var texts []string
	for _, w := range class.Warnings {
		texts = append(texts, w.String())
	}
	return texts
}

// faults parses objects, with further parameters, and lists what is wrong with them.
func faults(t testing.TB, objects string, more params) []provider.Fault {
	t.Helper()
	return faultsOf(t, withObjects(objects, more))
}

// faultsOf lists what is wrong with parameters: nil where nothing is.
func faultsOf(t testing.TB, p params) []provider.Fault {
	t.Helper()
	_, err := provider.ParseClass(p, region)
	return faultsIn(t, err)
}

// faultsIn takes the list out of an error, which must be of kind Class and one line.
func faultsIn(t testing.TB, err error) []provider.Fault {
	t.Helper()
	if err == nil {
		return nil
	}
	var list *provider.ClassError
	if !errors.As(err, &list) {
		t.Fatalf("error %v is a %T and holds no *ClassError", err, err)
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
func wantFaults(t testing.TB, got []provider.Fault, want ...provider.Fault) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// fileList shows the files of a class in short: `path`, `path mode` or `path mode < expression`.
func fileList(class provider.Class) []string {
	var list []string
	for _, o := range class.Objects {
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
func wantFiles(t testing.TB, class provider.Class, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, fileList(class)); diff != "" {
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
