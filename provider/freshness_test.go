package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"secrets-provider-aws/provider/fault"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// DESIGN.md, Freshness: first mounts, republishes and pinned versions.
func TestFreshnessServes(t *testing.T) {
	const interval = 2 * time.Minute
	have := func(age time.Duration) record { return record{asked: noon.Add(-age), spread: 1} }
	tests := []struct {
		name   string
		r      record
		first  bool
		pinned bool
		want   bool
	}{
		{"first mount, nothing known", record{}, true, false, false},
		{"first mount, read a second ago", have(time.Second), true, false, true},
		{"first mount, read more than a second ago", have(time.Second + 1), true, false, false},
		{"first mount, read after it arrived", have(-time.Millisecond), true, false, true},
		{"first mount of a pinned version, read long ago", have(time.Hour), true, true, false},
		{"republish, nothing known", record{}, false, false, false},
		{"republish, as old as the interval", have(interval), false, false, true},
		{"republish, older than the interval", have(interval + 1), false, false, false},
		{"republish of a pinned version, read long ago", have(time.Hour), false, true, true},
		{"republish of a pinned version that AWS took away", record{err: errors.New("denied")}, false, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := visit{arrived: noon, first: tt.first, interval: interval}
			if got := tt.r.serves(v, tt.pinned); got != tt.want {
				t.Errorf("serves = %v, want %v", got, tt.want)
			}
		})
	}
}

// The refresh interval is spread by at most 10 % either way.
func TestFreshnessSpread(t *testing.T) {
	for range 1000 {
		if s := spread(); s < 0.9 || s > 1.1 {
			t.Fatalf("spread %v", s)
		}
	}
	r := record{asked: noon.Add(-110 * time.Second), spread: 0.9}
	if r.serves(visit{arrived: noon, interval: 2 * time.Minute}, false) {
		t.Error("a value older than its spread interval was served")
	}
}

func TestFreshnessJoinsReadsUnderWay(t *testing.T) {
	tests := []struct {
		name    string
		began   time.Duration // before the request arrived
		hurried bool
		v       visit
		want    bool
	}{
		{"first mount, begun just before", time.Second, false, visit{first: true}, true},
		{"first mount, begun earlier: it may carry the value before the change", time.Second + 1, false, visit{first: true}, false},
		{"republish, begun earlier", 30 * time.Second, false, visit{}, true},
		{"republish, begun more than an interval ago", 3 * time.Minute, false, visit{}, false},
		{"hurried, for a volume with two regions", time.Second, true, visit{failover: true}, true},
		{"hurried, for a volume with one: it gives up too early", time.Second, true, visit{}, false},
		{"not hurried, for a volume with two regions", time.Second, false, visit{failover: true}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.v.arrived, tt.v.interval = noon, 2*time.Minute
			if got := joins(noon.Add(-tt.began), tt.hurried, tt.v.failover, tt.v); got != tt.want {
				t.Errorf("joins = %v, want %v", got, tt.want)
			}
		})
	}
}

// CONTRACT B, Failover, as a table of the two regions' answers.
func TestFailoverChooses(t *testing.T) {
	for _, primary := range append(fault.Kinds(), -1) { // -1: a value
		for _, failover := range append(fault.Kinds(), -1, -2) { // -2: not asked
			p, f := answerOf("primary", primary), answerOf("failover", failover)
			if failover == -2 {
				f = nil
			}
			got, errs := choose(p, f)
			refuses := func(kind fault.Kind) bool { return kind >= 0 && kind != fault.Transient }
			switch {
			case refuses(primary):
				if got != nil || len(errs) != 1 || errs[0] != p.err {
					t.Errorf("%v and %v: %v, %v; want the primary's error alone", primary, failover, got, errs)
				}
			case refuses(failover):
				if joined := fault.Join(errs); got != nil || fault.KindOf(joined) != failover || !errors.Is(joined, f.err) || p.err != nil && !errors.Is(joined, p.err) {
					t.Errorf("%v and %v: %v, %v; want every error", primary, failover, got, errs)
				}
			case primary == -1:
				if got != p || errs != nil {
					t.Errorf("%v and %v: %v, %v; want the primary's value", primary, failover, got, errs)
				}
			case failover == -1:
				if got != f || errs != nil {
					t.Errorf("%v and %v: %v, %v; want the failover region's value", primary, failover, got, errs)
				}
			default:
				if joined := fault.Join(errs); got != nil || fault.KindOf(joined) != fault.Transient || !errors.Is(joined, p.err) {
					t.Errorf("%v and %v: %v, %v; want every error", primary, failover, got, errs)
				}
			}
		}
	}
}

func answerOf(region string, kind fault.Kind) *answer {
	if kind < 0 {
		return &answer{value: value{version: "1"}}
	}
	return &answer{err: &fault.Error{Kind: kind, Region: region}}
}

// What is known of the failover region is not served once the primary has refused a later read.
func TestFailoverOutdates(t *testing.T) {
	denied := &fault.Error{Kind: fault.Denied}
	read := func(age time.Duration) record { return record{asked: noon.Add(-age)} }
	refused := record{}.failed(denied, noon, noon)
	for name, tt := range map[string]struct {
		primary, failover record
		want              bool
	}{
		"never refused":                          {record{}, read(time.Minute), false},
		"refused after it was read":              {refused, read(time.Minute), true},
		"refused as it was read":                 {refused, read(0), true},
		"refused before it was read":             {refused, read(-time.Minute), false},
		"refused, then failed":                   {refused.failed(&fault.Error{Kind: fault.Transient}, noon.Add(time.Second), noon), read(time.Minute), true},
		"refused, then read":                     {refused.succeeded(value{}, noon.Add(time.Second)), read(time.Minute), false},
		"refused, then a read that began before": {refused.succeeded(value{}, noon.Add(-time.Second)), read(time.Minute), true},
	} {
		if got := tt.primary.outdates(tt.failover); got != tt.want {
			t.Errorf("%s: outdates = %v, want %v", name, got, tt.want)
		}
	}
}

// A region that lets a mount's reads time out has little time from then on, until it answers or for half a minute.
func TestFailoverSilence(t *testing.T) {
	now := noon
	f, err := New(Config{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	late := &flight{err: fmt.Errorf("read: %w", context.DeadlineExceeded)}
	refused := &flight{err: &fault.Error{Kind: fault.Denied}}
	want := func(what string, d time.Duration) {
		t.Helper()
		if got := f.patienceWith("eu-west-1", visit{failover: true}); got != d {
			t.Errorf("%s: patience of %v, want %v", what, got, d)
		}
	}
	want("at first", 5*time.Second)
	f.listen("eu-west-1", false, []*flight{late})
	want("the mount's time was up", 5*time.Second)
	f.listen("eu-west-1", true, []*flight{late, refused})
	want("some reads were answered", 5*time.Second)
	f.listen("eu-west-1", true, []*flight{late, late})
	want("no read was answered", time.Second)
	now = now.Add(29 * time.Second)
	want("29 s later", time.Second)
	now = now.Add(3 * time.Second)
	want("32 s later", 5*time.Second)
	f.listen("eu-west-1", true, []*flight{late})
	f.listen("eu-west-1", false, []*flight{{}})
	want("it has answered", 5*time.Second)
	f.patience = 100 * time.Millisecond
	f.listen("eu-west-1", true, []*flight{late})
	want("never longer than otherwise", 100*time.Millisecond)
}

// DESIGN.md, Freshness: stale values, on transient failures only, on first mounts only, within --max-stale.
func TestFreshnessStale(t *testing.T) {
	known := record{asked: noon.Add(-30 * time.Minute)}
	failure := func(kind fault.Kind) error { return &fault.Error{Kind: kind} }
	for _, kind := range fault.Kinds() {
		v := visit{arrived: noon, first: true}
		if got, want := known.stale(v, failure(kind), noon, time.Hour), kind == fault.Transient; got != want {
			t.Errorf("first mount after a failure of kind %v: stale = %v, want %v", kind, got, want)
		}
		v.first = false
		if known.stale(v, failure(kind), noon, time.Hour) {
			t.Errorf("republish after a failure of kind %v was served stale", kind)
		}
	}
	first := visit{arrived: noon, first: true}
	if known.stale(first, failure(fault.Transient), noon, 29*time.Minute) {
		t.Error("a value older than --max-stale was served")
	}
	if known.stale(first, failure(fault.Transient), noon, 0) {
		t.Error("a stale value was served with --max-stale=0")
	}
	if (record{}).stale(first, failure(fault.Transient), noon, time.Hour) {
		t.Error("a value that was never read was served")
	}
}

// A failure that is not transient takes the value away; a transient one leaves it.
func TestFreshnessDenialTakesTheValueAway(t *testing.T) {
	for _, kind := range fault.Kinds() {
		known := record{value: value{content: Content("v")}, asked: noon.Add(-time.Minute), spread: 1}
		after := known.failed(&fault.Error{Kind: kind}, noon, noon)
		if kept, want := !after.asked.IsZero(), kind == fault.Transient; kept != want {
			t.Errorf("after a failure of kind %v: value kept = %v, want %v", kind, kept, want)
		}
		if after.asked.IsZero() && after.value.content != nil {
			t.Errorf("after a failure of kind %v the content is still held", kind)
		}
	}
}

// An old read that lands late changes nothing.
func TestFreshnessLateReads(t *testing.T) {
	newer := record{value: value{version: "2"}, asked: noon, spread: 1}
	if got := newer.succeeded(value{version: "1"}, noon.Add(-time.Second)); got.value.version != "2" {
		t.Errorf("an older read replaced version 2 by %s", got.value.version)
	}
	if got := newer.failed(errors.New("no"), noon.Add(-time.Second), noon); got.err != nil {
		t.Error("the failure of an older read was kept")
	}
}

// Failing republishes are spaced out: at first by some 15 s, doubling, at most 10 minutes. First mounts are not.
func TestFreshnessBackOff(t *testing.T) {
	r := record{}
	at := noon
	for i, want := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		r = r.failed(&fault.Error{Kind: fault.Transient}, at, at)
		wait := r.retry.Sub(at)
		if wait < scale(want, 0.9) || wait > scale(want, 1.1) {
			t.Errorf("failure %d: next try after %v, want %v ± 10 %%", i+1, wait, want)
		}
		if !r.backedOff(visit{arrived: r.retry.Add(-1)}) {
			t.Errorf("failure %d: a republish before the time asks AWS again", i+1)
		}
		if r.backedOff(visit{arrived: r.retry}) {
			t.Errorf("failure %d: a republish at the time does not ask AWS", i+1)
		}
		if r.backedOff(visit{arrived: at, first: true}) {
			t.Errorf("failure %d: a first mount was refused without asking", i+1)
		}
		if again := r.failed(&fault.Error{Kind: fault.Transient}, at, r.retry.Add(-1)); !again.retry.Equal(r.retry) || again.failures != r.failures {
			t.Errorf("failure %d: a first mount that fails before the time makes republishes wait longer", i+1)
		}
		at = r.retry
	}
	if r = r.succeeded(value{}, at); r.err != nil || r.failures != 0 {
		t.Error("a success leaves the back-off standing")
	}
}
