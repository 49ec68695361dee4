package provider

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parameter(name, version, label string) Object {
	return Object{Type: SSMParameter, Name: name, Version: version, Label: label}
}

func planOf(objects []Object) fetchPlan {
	return plan("owner", Class{Region: "ap-south-1", Objects: objects})
}

func readsOf(keys []key) []read {
	reads := make([]read, len(keys))
	for i, k := range keys {
		reads[i] = k.read
	}
	return reads
}

func TestPlan_EqualReadsAreOne(t *testing.T) {
	p := planOf([]Object{
		{Type: SecretsManager, Name: "a"},
		parameter("a", "", ""),
		{Type: SecretsManager, Name: "a"}, // as 0
		{Type: SecretsManager, Name: "a", Label: "AWSPREVIOUS"},
		{Type: SecretsManager, Name: "a", Version: "AWSPREVIOUS"}, // a version, not a label
		parameter("a", "", ""),                                    // as 1
		parameter("a", "1", ""),
		{Type: SecretsManager, Name: "A"},
	})
	if diff := cmp.Diff([]int{0, 1, 0, 2, 3, 1, 4, 5}, p.of); diff != "" {
		t.Errorf("reads of the objects (-want +got):\n%s", diff)
	}
	want := []read{
		{kind: SecretsManager, name: "a"},
		{kind: SSMParameter, name: "a"},
		{kind: SecretsManager, name: "a", label: "AWSPREVIOUS"},
		{kind: SecretsManager, name: "a", version: "AWSPREVIOUS"},
		{kind: SSMParameter, name: "a", version: "1"},
		{kind: SecretsManager, name: "A"},
	}
	if diff := cmp.Diff(want, readsOf(p.primary), cmp.AllowUnexported(read{})); diff != "" {
		t.Errorf("reads (-want +got):\n%s", diff)
	}
}

func TestPlan_FailoverRegion(t *testing.T) {
	other := &Failover{Name: "a-copy", Version: "1", Label: "L"}
	p := plan("owner", Class{Region: "ap-south-1", FailoverRegion: "eu-west-1", Objects: []Object{
		{Type: SecretsManager, Name: "a", Version: "1"},
		{Type: SecretsManager, Name: "a", Version: "1", Failover: other}, // another value: the failover region's may differ
		{Type: SecretsManager, Name: "a", Version: "1"},                  // as 0
	}})
	in := func(region string, r read) key { return key{owner: "owner", region: region, read: r} }
	a, copied := read{kind: SecretsManager, name: "a", version: "1"}, read{kind: SecretsManager, name: "a-copy", version: "1", label: "L"}
	want := fetchPlan{
		primary:  []key{in("ap-south-1", a), in("ap-south-1", a)},
		failover: []key{in("eu-west-1", a), in("eu-west-1", copied)},
		of:       []int{0, 1, 0},
	}
	if diff := cmp.Diff(want, p, cmp.AllowUnexported(fetchPlan{}, key{}, read{})); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// batches are the calls that reading the parameters takes, as indexes of their reads.
func batches(p fetchPlan) [][]int {
	var flights []*flight
	at := map[*flight]int{}
	for i, k := range p.primary {
		if k.kind == SSMParameter {
			fl := &flight{key: k}
			flights = append(flights, fl)
			at[fl] = i
		}
	}
	var all [][]int
	for _, batch := range batchParameters(flights) {
		var indexes []int
		for _, fl := range batch {
			indexes = append(indexes, at[fl])
		}
		all = append(all, indexes)
	}
	return all
}

func TestPlan_ParametersGoInTens(t *testing.T) {
	for n, want := range map[int][]int{0: nil, 1: {1}, 10: {10}, 11: {10, 1}, 25: {10, 10, 5}, 500: {
		10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,
		10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,
	}} {
		var objects []Object
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

// The answer of GetParameters names the parameter without telling which of two reads it is for.
func TestPlan_AParameterStandsOnceInABatch(t *testing.T) {
	const arn = "arn:aws:ssm:ap-south-1:123456789012:parameter/"
	for _, tt := range []struct {
		name    string
		objects []Object
		want    [][]int
	}{
		{"versions and labels of one", []Object{
			parameter("/a", "", ""), parameter("/a", "1", ""), parameter("/a", "", "prod"), parameter("/b", "", ""),
		}, [][]int{{0, 3}, {1}, {2}}},
		{"name and ARN of one", []Object{parameter("/app/a", "", ""), parameter(arn+"app/a", "", ""), parameter("/app/b", "", "")}, [][]int{{0, 2}, {1}}},
		{"one level, with and without its slash", []Object{parameter("a", "", ""), parameter("/a", "", ""), parameter(arn+"a", "", "")}, [][]int{{0}, {1}, {2}}},
		{"names that share an end", []Object{parameter("/x/a", "", ""), parameter("/y/a", "", ""), parameter("a", "", "")}, [][]int{{0, 1, 2}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, batches(planOf(tt.objects))); diff != "" {
				t.Errorf("batches (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlan_EveryReadIsInOneBatch(t *testing.T) {
	var objects []Object
	for i := range 37 { // 37 parameters in four versions each, and one more time without
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
				t.Errorf("%s stands twice in one batch", name)
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
	if n := len(batches(p)); n != 16 { // four times 37 in tens; the fours never share
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
		if got := bareName(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestRead_Selector(t *testing.T) {
	for want, r := range map[string]read{
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
