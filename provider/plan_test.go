package provider

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/document"
)

func parameter(name, version, label string) class.Object {
	return class.Object{Type: class.SSMParameter, Name: name, Version: version, Label: label}
}

func planOf(objects []class.Object) plan {
	return newPlan(Request{Owner: "owner", Class: class.Class{Region: "ap-south-1", Objects: objects}})
}

func readsOf(targets []target) []object {
	reads := make([]object, len(targets))
	for i, k := range targets {
		reads[i] = k.object
	}
	return reads
}

func TestF14_EqualReadsAreOne(t *testing.T) {
	p := planOf([]class.Object{
		{Type: class.SecretsManager, Name: "a"},
		parameter("a", "", ""),
		{Type: class.SecretsManager, Name: "a"}, // as 0
		{Type: class.SecretsManager, Name: "a", Label: "AWSPREVIOUS"},
		{Type: class.SecretsManager, Name: "a", Version: "AWSPREVIOUS"}, // a version ID, not a label
		parameter("a", "", ""),                                          // as 1
		parameter("a", "1", ""),
		{Type: class.SecretsManager, Name: "A"},
	})
	if diff := cmp.Diff([]int{0, 1, 0, 2, 3, 1, 4, 5}, p.valueOf); diff != "" {
		t.Errorf("reads of the objects (-want +got):\n%s", diff)
	}
	want := []object{
		{kind: class.SecretsManager, name: "a"},
		{kind: class.SSMParameter, name: "a"},
		{kind: class.SecretsManager, name: "a", label: "AWSPREVIOUS"},
		{kind: class.SecretsManager, name: "a", version: "AWSPREVIOUS"},
		{kind: class.SSMParameter, name: "a", version: "1"},
		{kind: class.SecretsManager, name: "A"},
	}
	if diff := cmp.Diff(want, readsOf(p.primary), cmp.AllowUnexported(object{})); diff != "" {
		t.Errorf("reads (-want +got):\n%s", diff)
	}
}

func TestPlan_FailoverRegion(t *testing.T) {
	whole := []class.FileSpec{{Path: "a"}}
	other := &class.Failover{Name: "a-copy", Version: "1", Label: "L"}
	p := newPlan(Request{Owner: "owner", Class: class.Class{Region: "ap-south-1", FailoverRegion: "eu-west-1", Objects: []class.Object{
		{Type: class.SecretsManager, Name: "a", Version: "1", Files: whole},
		{Type: class.SecretsManager, Name: "a", Version: "1", Files: whole, Failover: other},                                       // another value: the object in the failover region differs
		{Type: class.SecretsManager, Name: "a", Version: "1", Files: whole},                                                        // as 0
		{Type: class.SecretsManager, Name: "a", Version: "1", Files: []class.FileSpec{{Path: "a.env", Format: document.Env}}},      // as 0, but not its value
		{Type: class.SecretsManager, Name: "a", Version: "1", Files: []class.FileSpec{{Path: "a.p12", Encoding: document.Base64}}}, // the same
	}}})
	in := func(region string, o object) key { return key{owner: "owner", region: region, object: o} }
	a, copied := object{kind: class.SecretsManager, name: "a", version: "1"}, object{kind: class.SecretsManager, name: "a-copy", version: "1", label: "L"}
	primary := in("ap-south-1", a)
	want := plan{
		primary:  []target{{key: primary, files: 2}, {key: primary, files: 1}},
		failover: []target{{key: in("eu-west-1", a), primary: &primary, files: 2}, {key: in("eu-west-1", copied), primary: &primary, files: 1}},
		valueOf:  []int{0, 1, 0, 0, 0},
	}
	if diff := cmp.Diff(want, p, cmp.AllowUnexported(plan{}, target{}, key{}, object{}), cmpopts.IgnoreTypes(&size{})); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// batches returns the calls that read the parameters of p, as indexes into p.primary.
func batches(p plan) [][]int {
	var indexes []int
	for i, t := range p.primary {
		if t.kind == class.SSMParameter {
			indexes = append(indexes, i)
		}
	}
	return batchParameters(p.primary, indexes)
}

func TestK39_BatchesHaveTenParameters(t *testing.T) {
	for n, want := range map[int][]int{0: nil, 1: {1}, 10: {10}, 11: {10, 1}, 25: {10, 10, 5}, 500: {
		10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,
		10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,
	}} {
		var objects []class.Object
		for i := range n {
			objects = append(objects, parameter(fmt.Sprintf("/p/%d", i), "", ""))
		}
		if diff := cmp.Diff(want, sizes(batches(planOf(objects)))); diff != "" {
			t.Errorf("%d parameters: sizes of the batches (-want +got):\n%s", n, diff)
		}
	}
}

func sizes(batches [][]int) []int {
	var n []int
	for _, b := range batches {
		n = append(n, len(b))
	}
	return n
}

// The response of GetParameters names the parameter, but not the version or label of the read.
func TestA6_BatchHasEachParameterOnce(t *testing.T) {
	const arn = "arn:aws:ssm:ap-south-1:123456789012:parameter/"
	for _, tt := range []struct {
		name    string
		objects []class.Object
		want    [][]int
	}{
		{"versions and labels of one", []class.Object{
			parameter("/a", "", ""), parameter("/a", "1", ""), parameter("/a", "", "prod"), parameter("/b", "", ""),
		}, [][]int{{0, 3}, {1}, {2}}},
		{"name and ARN of one", []class.Object{parameter("/app/a", "", ""), parameter(arn+"app/a", "", ""), parameter("/app/b", "", "")}, [][]int{{0, 2}, {1}}},
		{"one name with and without its slash", []class.Object{parameter("a", "", ""), parameter("/a", "", ""), parameter(arn+"a", "", "")}, [][]int{{0}, {1}, {2}}},
		{"names with the same last part", []class.Object{parameter("/x/a", "", ""), parameter("/y/a", "", ""), parameter("a", "", "")}, [][]int{{0, 1, 2}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, batches(planOf(tt.objects))); diff != "" {
				t.Errorf("batches (-want +got):\n%s", diff)
			}
		})
	}
}

func TestK39_EveryReadIsInOneBatch(t *testing.T) {
	var objects []class.Object
	for i := range 37 { // 37 parameters, each without a version and with three
		for _, version := range []string{"", "1", "2", "3"} {
			objects = append(objects, parameter(fmt.Sprintf("/p/%d", i), version, ""))
		}
	}
	p := planOf(objects)
	times := map[int]int{}
	for _, batch := range batches(p) {
		if len(batch) > 10 {
			t.Errorf("a batch of %d", len(batch))
		}
		names := map[string]bool{}
		for _, at := range batch {
			times[at]++
			if name := p.primary[at].name; names[name] {
				t.Errorf("%s is twice in one batch", name)
			} else {
				names[name] = true
			}
		}
	}
	for at := range p.primary {
		if times[at] != 1 {
			t.Errorf("read %d is in %d batches, want 1", at, times[at])
		}
	}
	if n := len(batches(p)); n != 16 { // 4 batches for each of the 4 reads of a parameter, which never share a batch
		t.Errorf("%d batches, want 16", n)
	}
}

func TestBareName(t *testing.T) {
	for name, want := range map[string]string{
		"a": "a", "/a": "a", "/app/a": "app/a", "app/a": "app/a",
		"arn:aws:ssm:eu-west-1:123456789012:parameter/a":        "a",
		"arn:aws:ssm:eu-west-1:123456789012:parameter/app/a":    "app/a",
		"arn:aws-cn:ssm:cn-north-1:123456789012:parameter/a/b/": "a/b/",
	} {
		if got := class.BareName(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestRead_Selector(t *testing.T) {
	for want, r := range map[string]object{
		"/a":      {name: "/a"},
		"/a:3":    {name: "/a", version: "3"},
		"/a:prod": {name: "/a", label: "prod"},
		"arn:aws:ssm:eu-west-1:123456789012:parameter/a:3": {name: "arn:aws:ssm:eu-west-1:123456789012:parameter/a", version: "3"},
	} {
		if got := r.selector(); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}
