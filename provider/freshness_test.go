package provider

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/volume"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// First mounts (rule F10), republishes (rule F11) and pinned versions (rule F13).
func TestF10_ServesFromCache(t *testing.T) {
	const interval = 2 * time.Minute
	have := func(age time.Duration) record { return record{read: noon.Add(-age), spread: 1} }
	tests := []struct {
		name   string
		r      record
		first  bool
		pinned bool
		want   bool
	}{
		{"first mount, nothing cached", record{}, true, false, false},
		{"first mount, read a second ago", have(time.Second), true, false, true},
		{"first mount, read more than a second ago", have(time.Second + 1), true, false, false},
		{"first mount, read after it arrived", have(-time.Millisecond), true, false, true},
		{"first mount of a pinned version, read long ago", have(time.Hour), true, true, false},
		{"republish, nothing cached", record{}, false, false, false},
		{"republish, age equals the interval", have(interval), false, false, true},
		{"republish, older than the interval", have(interval + 1), false, false, false},
		{"republish of a pinned version, read long ago", have(time.Hour), false, true, true},
		{"republish of a pinned version that AWS refused", record{err: errors.New("denied")}, false, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := mount{arrived: noon, first: tt.first, interval: interval}
			if got := tt.r.fresh(m, tt.pinned); got != tt.want {
				t.Errorf("fresh = %v, want %v", got, tt.want)
			}
		})
	}
}

// The refresh interval varies by at most ± 10 %.
func TestF11_Spread(t *testing.T) {
	for range 1000 {
		if s := spread(); s < 0.9 || s > 1.1 {
			t.Fatalf("spread %v", s)
		}
	}
	r := record{read: noon.Add(-110 * time.Second), spread: 0.9}
	if r.fresh(mount{arrived: noon, interval: 2 * time.Minute}, false) {
		t.Error("a value older than its spread interval was served")
	}
}

func TestF14_JoinsInFlightReads(t *testing.T) {
	tests := []struct {
		name    string
		started time.Duration // before the request arrived
		short   bool
		m       mount
		want    bool
	}{
		{"first mount, started just before", time.Second, false, mount{first: true}, true},
		{"first mount, started earlier: it may return the value before a change", time.Second + 1, false, mount{first: true}, false},
		{"republish, started earlier", 30 * time.Second, false, mount{}, true},
		{"republish, started more than an interval ago", 3 * time.Minute, false, mount{}, false},
		{"short timeout, for a volume with two regions", time.Second, true, mount{failover: true}, true},
		{"short timeout, for a volume with one region: it gives up too early", time.Second, true, mount{}, false},
		{"full timeout, for a volume with two regions", time.Second, false, mount{failover: true}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.m.arrived, tt.m.interval = noon, 2*time.Minute
			if got := mayJoin(noon.Add(-tt.started), tt.short, tt.m.failover, tt.m); got != tt.want {
				t.Errorf("mayJoin = %v, want %v", got, tt.want)
			}
		})
	}
}

// All values of a volume come from one region. The loops cover every pair of results from the two regions.
func TestR1_OneRegionServesAVolume(t *testing.T) {
	const none = fault.Kind(-1) // no failure: a value
	kinds := append(fault.Kinds(), none)
	for _, first := range kinds {
		for _, second := range kinds {
			for _, third := range append(kinds, -2) { // -2: the failover region was not read
				primary := regionOf("primary", none, first, second)
				var failover *regionValues
				if third != -2 {
					failover = regionOf("failover", none, third, none)
				}
				refuses := func(kind fault.Kind) bool { return kind >= 0 && kind != fault.Transient }
				name := fmt.Sprintf("primary region %v and %v, failover region %v", first, second, third)
				got, errs := choose(primary, failover)
				switch {
				case first == none && second == none && !refuses(third):
					if got != primary || errs != nil {
						t.Errorf("%s: %v, %v; want the primary region", name, got, errs)
					}
				case !refuses(first) && !refuses(second) && third == none:
					if got != failover || errs != nil {
						t.Errorf("%s: %v, %v; want the failover region", name, got, errs)
					}
				default:
					want := primary.errors()
					if failover != nil && !refuses(first) && !refuses(second) {
						want = slices.Concat(want, failover.errors())
					}
					if got != nil || !slices.Equal(errs, want) {
						t.Errorf("%s: %v, %v; want the errors %v", name, got, errs, want)
					}
				}
			}
		}
	}
}

// regionOf returns the responses of a region: for each object a value, or a failure of this kind.
func regionOf(region string, kinds ...fault.Kind) *regionValues {
	v := &regionValues{region: region}
	for i, kind := range kinds {
		r := response{value: volume.Value{Version: "1"}}
		if kind >= 0 {
			r = response{err: &fault.Error{Kind: kind, Region: region, What: fmt.Sprint("object ", i)}}
		}
		v.responses = append(v.responses, r)
	}
	return v
}

// After the primary region refuses a read, older values of the failover region are not served.
func TestR5_RefusalOutdatesFailoverValues(t *testing.T) {
	denied := &fault.Error{Kind: fault.Denied}
	readAgo := func(age time.Duration) record { return record{read: noon.Add(-age)} }
	refused := record{}.failed(denied, noon, noon)
	for name, tt := range map[string]struct {
		primary, failover record
		want              bool
	}{
		"never refused":                          {record{}, readAgo(time.Minute), false},
		"refused after it was read":              {refused, readAgo(time.Minute), true},
		"refused at the same time":               {refused, readAgo(0), true},
		"refused before it was read":             {refused, readAgo(-time.Minute), false},
		"refused, then failed":                   {refused.failed(&fault.Error{Kind: fault.Transient}, noon.Add(time.Second), noon), readAgo(time.Minute), true},
		"refused, then read":                     {refused.succeeded(volume.Value{}, noon.Add(time.Second)), readAgo(time.Minute), false},
		"refused, then a read that began before": {refused.succeeded(volume.Value{}, noon.Add(-time.Second)), readAgo(time.Minute), true},
	} {
		if got := tt.primary.outdates(tt.failover); got != tt.want {
			t.Errorf("%s: outdates = %v, want %v", name, got, tt.want)
		}
	}
}

// A region that lets all reads of a request time out gets a short timeout for half a minute, or until it responds.
func TestR10_UnhealthyRegion(t *testing.T) {
	now := noon
	b, err := newBreaker(defaultRegionTimeout, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, d time.Duration) {
		t.Helper()
		if got := b.shortTimeoutIn("eu-west-1", mount{failover: true}); got != d {
			t.Errorf("%s: timeout %v, want %v", what, got, d)
		}
	}
	want("at first", 5*time.Second)
	b.record("eu-west-1", false, false)
	want("the deadline of the mount request passed", 5*time.Second)
	b.record("eu-west-1", true, true)
	want("some reads got a response", 5*time.Second)
	b.record("eu-west-1", false, true)
	want("no read got a response", time.Second)
	now = now.Add(29 * time.Second)
	want("29 s later", time.Second)
	now = now.Add(3 * time.Second)
	want("32 s later", 5*time.Second)
	b.record("eu-west-1", false, true)
	b.record("eu-west-1", true, false)
	want("it has responded", 5*time.Second)
	b.regionTimeout = 100 * time.Millisecond
	b.record("eu-west-1", false, true)
	want("at most the region timeout", 100*time.Millisecond)
}

// Stale values are served on transient failures only, on first mounts only, within --max-stale.
func TestF16_Stale(t *testing.T) {
	known := record{read: noon.Add(-30 * time.Minute)}
	failure := func(kind fault.Kind) error { return &fault.Error{Kind: kind} }
	for _, kind := range fault.Kinds() {
		m := mount{arrived: noon, first: true}
		if got, want := known.stale(m, failure(kind), noon, time.Hour), kind == fault.Transient; got != want {
			t.Errorf("first mount after a failure of kind %v: stale = %v, want %v", kind, got, want)
		}
		m.first = false
		if known.stale(m, failure(kind), noon, time.Hour) {
			t.Errorf("republish after a failure of kind %v was served stale", kind)
		}
	}
	first := mount{arrived: noon, first: true}
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

// A failure that is not transient removes the value. A transient failure keeps it.
func TestF17_DenialRemovesTheValue(t *testing.T) {
	for _, kind := range fault.Kinds() {
		known := record{value: volume.Value{Content: Content("v")}, read: noon.Add(-time.Minute), spread: 1}
		after := known.failed(&fault.Error{Kind: kind}, noon, noon)
		if kept, want := !after.read.IsZero(), kind == fault.Transient; kept != want {
			t.Errorf("after a failure of kind %v: value kept = %v, want %v", kind, kept, want)
		}
		if after.read.IsZero() && after.value.Content != nil {
			t.Errorf("after a failure of kind %v the content is still in memory", kind)
		}
	}
}

// An older read that completes late changes nothing.
func TestF15_LateReads(t *testing.T) {
	newer := record{value: volume.Value{Version: "2"}, read: noon, spread: 1}
	if got := newer.succeeded(volume.Value{Version: "1"}, noon.Add(-time.Second)); got.value.Version != "2" {
		t.Errorf("an older read replaced version 2 by %s", got.value.Version)
	}
	if got := newer.failed(errors.New("no"), noon.Add(-time.Second), noon); got.err != nil {
		t.Error("the failure of an older read was kept")
	}
}

// Republishes back off after a failure: 15 s, doubled by each failure, at most 10 minutes. First mounts do not.
func TestF18_BackOff(t *testing.T) {
	r := record{}
	at := noon
	for i, want := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		r = r.failed(&fault.Error{Kind: fault.Transient}, at, at)
		wait := r.retry.Sub(at)
		if wait < scale(want, 0.9) || wait > scale(want, 1.1) {
			t.Errorf("failure %d: next try after %v, want %v ± 10 %%", i+1, wait, want)
		}
		if !r.backedOff(mount{arrived: r.retry.Add(-1)}) {
			t.Errorf("failure %d: a republish before the time calls AWS", i+1)
		}
		if r.backedOff(mount{arrived: r.retry}) {
			t.Errorf("failure %d: a republish at the time does not call AWS", i+1)
		}
		if r.backedOff(mount{arrived: at, first: true}) {
			t.Errorf("failure %d: a first mount was refused without a call to AWS", i+1)
		}
		if again := r.failed(&fault.Error{Kind: fault.Transient}, at, r.retry.Add(-1)); !again.retry.Equal(r.retry) || again.failures != r.failures {
			t.Errorf("failure %d: a first mount that fails before the time makes republishes wait longer", i+1)
		}
		at = r.retry
	}
	if r = r.succeeded(volume.Value{}, at); r.err != nil || r.failures != 0 {
		t.Error("a success does not reset the back-off")
	}
}
