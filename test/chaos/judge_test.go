package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// What the judge knows in these tests: identity 1, which has a failover region, had value 1 of each object from 0 s
// on, value 2 from 60 s on, and value 3 from 90 s on. The request is sent at 100 s and answered at 101 s.
var began = time.Unix(1_000_000, 0)

func at(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }

func historyOf(objects []object) *ledger {
	l := newLedger()
	for _, o := range objects {
		for _, in := range []string{region, failoverRegion} {
			for _, second := range []float64{0, 60, 90} {
				l.begin(place{in, o.name}, at(second))
				l.end(place{in, o.name}, at(second))
			}
		}
	}
	return l
}

// mounted is a good call: the newest value of each object.
func mounted() call {
	c := call{pod: "pod", identity: 1, objects: objectsOf(1), sent: at(100), ended: at(101), ages: ages{first: true}, resp: &v1alpha1.MountResponse{}}
	for _, o := range c.objects {
		c.resp.Files = append(c.resp.Files, &v1alpha1.File{Path: o.file})
		c.resp.ObjectVersion = append(c.resp.ObjectVersion, &v1alpha1.ObjectVersion{Id: o.file})
		give(&c, o, place{region, o.name}, 3)
	}
	return c
}

// give has the call's volume hold a value of a place in an object's file.
func give(c *call, o object, p place, number int) {
	for i, f := range c.resp.GetFiles() {
		if f.GetPath() == o.file {
			f.Contents = []byte(content(p, number))
			c.resp.ObjectVersion[i].Version = "version " + string(rune('0'+number))
		}
	}
}

func TestJudge(t *testing.T) {
	db := objectsOf(1)[0]
	here, there := place{region, db.name}, place{failoverRegion, db.name}
	all := func(c *call, in string, number int) {
		for _, o := range c.objects {
			give(c, o, place{in, o.name}, number)
		}
	}
	failed := func(code codes.Code, answered bool) func(*call) {
		return func(c *call) { c.resp, c.err, c.answered = nil, status.Error(code, "why"), answered }
	}
	for name, test := range map[string]struct {
		change func(*call)
		want   []rule
	}{
		"good":                                  {func(*call) {}, nil},
		"the failover region in an outage":      {func(c *call) { c.outage = true; all(c, failoverRegion, 3) }, nil},
		"a republish from the failover region":  {func(c *call) { c.ages = ages{republish: true}; all(c, failoverRegion, 3) }, nil},
		"the failover region without an outage": {func(c *call) { give(c, db, there, 3); all(c, failoverRegion, 3) }, []rule{ruleRegion, ruleRegion, ruleRegion, ruleRegion}},
		"two regions": {func(c *call) {
			c.outage = true
			give(c, objectsOf(1)[2], place{failoverRegion, objectsOf(1)[2].name}, 3)
		}, []rule{ruleRegion}},
		"a region that the class does not name":  {func(c *call) { c.identity, c.outage = 0, true; all(c, failoverRegion, 3) }, []rule{ruleRegion, ruleRegion, ruleRegion, ruleRegion}},
		"another object's value":                 {func(c *call) { give(c, db, place{region, objectsOf(2)[0].name}, 3) }, []rule{ruleForeign}},
		"a neighbour's object":                   {func(c *call) { c.steals = true }, []rule{ruleForeign}},
		"a neighbour's object, refused":          {func(c *call) { c.steals = true; failed(codes.PermissionDenied, true)(c) }, nil},
		"a torn value":                           {func(c *call) { c.resp.Files[0].Contents = c.resp.Files[0].Contents[:30] }, []rule{ruleTorn}},
		"an empty value":                         {func(c *call) { c.resp.Files[0].Contents = nil }, []rule{ruleTorn}},
		"a file too few":                         {func(c *call) { c.resp.Files = c.resp.Files[1:] }, []rule{ruleTorn, ruleTorn}},
		"a file twice":                           {func(c *call) { c.resp.Files = append(c.resp.Files, c.resp.Files[0]) }, []rule{ruleTorn}},
		"no version":                             {func(c *call) { c.resp.ObjectVersion = c.resp.ObjectVersion[1:] }, []rule{ruleVersion}},
		"another value's version":                {func(c *call) { c.resp.ObjectVersion[0].Version = "version 2" }, []rule{ruleVersion}},
		"a first mount, replaced 0.5 s before":   {func(c *call) { c.sent = at(90.5); give(c, db, here, 2) }, nil},
		"a first mount, replaced 1.5 s before":   {func(c *call) { c.sent = at(91.5); give(c, db, here, 2) }, []rule{ruleOld}},
		"a republish, replaced 3.2 s before":     {func(c *call) { c.ages = ages{republish: true}; c.sent = at(93.2); give(c, db, here, 2) }, nil},
		"a republish, replaced 3.4 s before":     {func(c *call) { c.ages = ages{republish: true}; c.sent = at(93.4); give(c, db, here, 2) }, []rule{ruleOld}},
		"either, replaced 3.2 s before":          {func(c *call) { c.ages = ages{true, true}; c.sent = at(93.2); give(c, db, here, 2) }, nil},
		"either, replaced 3.4 s before":          {func(c *call) { c.ages = ages{true, true}; c.sent = at(93.4); give(c, db, here, 2) }, []rule{ruleOld}},
		"a stale value in an outage":             {func(c *call) { c.outage = true; c.sent = at(99.9); give(c, db, here, 2) }, nil},
		"a value more than stale in an outage":   {func(c *call) { c.outage = true; c.sent = at(100.1); give(c, db, here, 2) }, []rule{ruleOld}},
		"a stale value at a republish":           {func(c *call) { c.ages = ages{republish: true}; c.outage = true; give(c, db, here, 2) }, []rule{ruleOld}},
		"a value that AWS has never had":         {func(c *call) { give(c, db, here, 4) }, []rule{ruleOld}},
		"a value from after the answer":          {func(c *call) { c.sent, c.ended = at(80), at(85) }, []rule{ruleOld, ruleOld, ruleOld, ruleOld}},
		"refused":                                {failed(codes.PermissionDenied, true), nil},
		"Unavailable of a server":                {failed(codes.Unavailable, true), []rule{ruleCode}},
		"DeadlineExceeded of a server":           {failed(codes.DeadlineExceeded, true), []rule{ruleCode}},
		"Canceled of a server in a fault":        {func(c *call) { failed(codes.Canceled, true)(c); c.torn = true }, []rule{ruleCode}},
		"the caller's time is up":                {func(c *call) { failed(codes.DeadlineExceeded, false)(c); c.torn = true }, []rule{ruleDeadline}},
		"a broken connection":                    {failed(codes.Unavailable, false), []rule{ruleTransport}},
		"a broken connection as a process ended": {func(c *call) { failed(codes.Unavailable, false)(c); c.torn = true }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJudge(historyOf(append(objectsOf(1), objectsOf(2)...)))
			before := mounted()
			for _, o := range before.objects {
				give(&before, o, place{region, o.name}, 2)
			}
			before.sent, before.ended = at(70), at(71)
			if found := j.judge(before); len(found) != 0 {
				t.Fatalf("an earlier, good call breaks %v", found)
			}
			c := mounted()
			test.change(&c)
			var got []rule
			for _, v := range j.judge(c) {
				got = append(got, v.rule)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}

// While its role has no permissions an identity's values count as gone, and as there again after that.
func TestJudge_ADeniedValueIsOld(t *testing.T) {
	l := historyOf(objectsOf(1))
	for _, o := range objectsOf(1) {
		l.deny(place{region, o.name}, at(95))
		l.allow(place{region, o.name}, at(105))
	}
	for sent, want := range map[float64]int{95.5: 0, 97: 4, 106: 0} {
		c := mounted()
		c.sent, c.ended = at(sent), at(sent+0.1)
		if got := newJudge(l).judge(c); len(got) != want {
			t.Errorf("sent at %.1f s: %d violations, want %d: %v", sent, len(got), want, got)
		}
	}
}

func TestTroubles(t *testing.T) {
	now := time.Now()
	tr := newTroubles()
	end := tr.begin(fault{kind: awsError, target: toReads})
	if !tr.outage(now, now.Add(time.Second)) {
		t.Error("no outage while AWS fails")
	}
	if tr.torn(now, now.Add(time.Second)) {
		t.Error("AWS's failure excuses a broken connection to the provider")
	}
	end()
	if tr.outage(now.Add(4*time.Second), now.Add(5*time.Second)) {
		t.Error("the outage does not end")
	}
	tr.begin(fault{kind: apiAway, target: toAPI})
	tr.begin(fault{kind: netCut, target: toAPI})
	tr.begin(fault{kind: awsClock})
	tr.begin(fault{kind: removeSocket})
	if tr.outage(now.Add(4*time.Second), now.Add(5*time.Second)) || tr.torn(now, now.Add(time.Second)) {
		t.Error("what does not touch AWS and no process excuses a stale value or a broken connection")
	}
	tr.begin(fault{kind: kill})
	if !tr.torn(now, now.Add(time.Second)) {
		t.Error("a killed process does not excuse a broken connection")
	}
}

func TestUsage(t *testing.T) {
	base := usage{resident: 40, goroutines: 50, descriptors: 30}
	for name, test := range map[string]struct {
		now  usage
		back bool
	}{
		"the same":         {base, true},
		"more goroutines":  {usage{40, 71, 30}, false},
		"more descriptors": {usage{40, 50, 41}, false},
		"more memory":      {usage{77, 50, 30}, false},
		"a little more":    {usage{70, 60, 35}, true},
	} {
		if got := test.now.exceeds(base); (got == "") != test.back {
			t.Errorf("%s: %q", name, got)
		}
	}
}
