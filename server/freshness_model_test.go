package server_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// The model of section F of docs/contract.md. It records which value AWS held at which time.
const (
	modelInterval = 2 * time.Minute
	modelStale    = time.Hour
	modelPods     = 4
)

// held is a value that AWS held from since until the next value.
type held struct {
	value string
	since time.Time
}

// knowledge is what one identity may know of the secret.
type knowledge struct {
	uid      string
	pods     []string             // mounted so far
	mounted  map[string]time.Time // pod → time of the last mount
	read     time.Time            // time of the newest read; zero when there is none or a denial removed it
	lastUsed time.Time            // time of the last mount
	failing  time.Time            // time of the last failed read; zero after a successful read
	dropped  bool                 // unused for three intervals, so the cache may have dropped the value
}

// freshnessModel drives the server and the model side by side.
type freshnessModel struct {
	r       *rig.Rig
	clock   *rig.Clock
	secret  string
	second  string // failover region; empty for none
	history []held
	holders []*knowledge
	mode    string // up, outage, denied
	restore func()
	serial  int
}

// Random sequences of mounts, rotations, outages, denials and clock steps match the model.
func TestF20_FreshnessMatchesModel(t *testing.T) {
	clock := rig.NewClock()
	r := rig.New(t, rig.Options{
		Now: clock.Now, DefaultRegion: rig.Region, RefreshInterval: modelInterval, MaxStale: modelStale,
		AWS: awsclient.Options{MaxAttempts: 1}, // no retries in an outage
	})
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		m := &freshnessModel{r: r, clock: clock, secret: fmt.Sprintf("secret-%d", runs), mode: "up", restore: func() {}}
		defer func() { m.restore() }()
		for i := range 2 {
			m.holders = append(m.holders, &knowledge{uid: fmt.Sprintf("uid-%d-%d", runs, i), mounted: map[string]time.Time{}})
		}
		m.rotate(t)
		t.Repeat(map[string]func(*rapid.T){
			"first mount": m.firstMount, "republish": m.republish, "rotate": m.rotate,
			"outage": func(*rapid.T) { m.turn("outage", awssim.Fault{Service: "secretsmanager", Status: 503}) },
			"denial": func(*rapid.T) {
				m.turn("denied", awssim.Fault{Service: "secretsmanager", Code: "AccessDeniedException"})
			},
			"recovery": func(*rapid.T) { m.turn("up", awssim.Fault{}) },
			"time":     m.step,
			"instant":  m.step, // a second name for step makes it twice as likely, because most rules depend on time
		})
	})
}

func (m *freshnessModel) turn(mode string, f awssim.Fault) {
	m.restore()
	m.mode, m.restore = mode, func() {}
	if mode != "up" {
		m.restore = m.r.AWS.Inject(f)
	}
}

func (m *freshnessModel) step(t *rapid.T) {
	m.clock.Advance(rapid.SampledFrom([]time.Duration{
		300 * time.Millisecond, 1100 * time.Millisecond, 30 * time.Second, 100 * time.Second, 3 * time.Minute, 20 * time.Minute, 2 * time.Hour,
	}).Draw(t, "step"))
}

func (m *freshnessModel) rotate(*rapid.T) {
	m.serial++
	value := fmt.Sprintf("value-%d", m.serial)
	m.r.AWS.PutSecret(rig.Region, m.secret, value)
	if m.second != "" {
		m.r.AWS.PutSecret(m.second, m.secret, value)
	}
	m.history = append(m.history, held{value, m.clock.Now()})
}

// heldWithin reports whether AWS held value at any time in the last age.
func (m *freshnessModel) heldWithin(value string, age time.Duration) bool {
	from := m.clock.Now().Add(-age)
	for i, h := range m.history {
		if h.value == value {
			return i+1 == len(m.history) || !m.history[i+1].since.Before(from)
		}
	}
	return false
}

func (m *freshnessModel) mount(t *rapid.T, h *knowledge, pod string) (string, error) {
	now := m.clock.Now()
	if now.Sub(h.lastUsed) > 3*modelInterval-2*time.Second { // the cache may drop it a second early
		h.dropped = true
	}
	h.lastUsed = now
	token := m.r.Token(awssim.Token{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, ServiceAccountUID: h.uid, Pod: pod, PodUID: "uid-of-" + pod, TTL: rig.LongTTL})
	resp, err := m.r.Mount(rig.Mount{
		Pod: pod, Tokens: map[string]string{"sts.amazonaws.com": token},
		Objects:    "- {objectName: " + m.secret + ", objectType: secretsmanager}\n",
		Parameters: map[string]string{"failoverRegion": m.second},
	})
	if err != nil {
		if code := status.Code(err); code != codes.Internal && code != codes.PermissionDenied {
			t.Fatalf("unexpected kind of error: %v", err)
		}
		return "", err
	}
	h.mounted[pod] = now
	return string(resp.GetFiles()[0].GetContents()), nil
}

func (m *freshnessModel) firstMount(t *rapid.T) {
	h := rapid.SampledFrom(m.holders).Draw(t, "identity")
	if len(h.pods) >= modelPods {
		t.Skip("enough pods")
	}
	m.serial++
	pod := fmt.Sprintf("pod-%d-of-%s", m.serial, h.uid)
	now := m.clock.Now()
	before := *h
	value, err := m.mount(t, h, pod)
	recent := !before.read.IsZero() && now.Sub(before.read) <= time.Second // no read was made
	switch {
	case recent:
		if err != nil || !m.heldWithin(value, time.Second) {
			t.Fatalf("a value read within a second: got %q and %v", value, err)
		}
	case m.mode == "up":
		if err != nil || !m.heldWithin(value, 0) {
			t.Fatalf("first mount while AWS is up: got %q and %v, want what AWS holds now", value, err)
		}
		h.read, h.failing, h.dropped = now, time.Time{}, false
	case m.mode == "denied":
		if err == nil {
			t.Fatalf("first mount while AWS denies: got %q", value)
		}
		h.read, h.failing = time.Time{}, now
	default:
		h.failing = now
		known := !before.read.IsZero() && now.Sub(before.read) <= modelStale
		if err == nil && (!known || !m.heldWithin(value, now.Sub(before.read))) {
			t.Fatalf("first mount in an outage: got %q, which is unknown or too old", value)
		}
		if err != nil && known && !h.dropped {
			t.Fatalf("first mount in an outage: %v, want the known value", err)
		}
	}
	if err == nil {
		h.pods = append(h.pods, pod)
	}
}

func (m *freshnessModel) republish(t *rapid.T) {
	h := rapid.SampledFrom(m.holders).Draw(t, "identity")
	now := m.clock.Now()
	pods := slices.DeleteFunc(slices.Clone(h.pods), func(pod string) bool {
		return now.Sub(h.mounted[pod]) > 50*time.Minute // after an hour the provider forgets a volume, and its next mount is a first mount
	})
	if len(pods) == 0 {
		t.Skip("no pod yet")
	}
	before := *h
	reads := m.r.AWS.Calls()[getSecret]
	value, err := m.mount(t, h, rapid.SampledFrom(pods).Draw(t, "pod"))
	called := m.r.AWS.Calls()[getSecret] > reads
	age := now.Sub(before.read)
	fresh := !before.read.IsZero() && age < modelInterval*9/10
	switch {
	case err == nil && !m.heldWithin(value, modelInterval*11/10):
		t.Fatalf("republish: got %q, which AWS has not held for more than an interval", value)
	case err == nil && called && m.mode != "up":
		t.Fatalf("republish: got %q, which AWS does not return now", value)
	case err != nil && fresh:
		t.Fatalf("republish of a fresh value: %v", err)
	case fresh && called:
		t.Fatal("republish of a fresh value called AWS")
	case err != nil && m.mode == "up" && (before.failing.IsZero() || now.Sub(before.failing) > 11*time.Minute):
		t.Fatalf("republish while AWS is up, with no failure before: %v", err)
	}
	switch {
	case called && err == nil:
		h.read, h.failing, h.dropped = now, time.Time{}, false
	case called && m.mode == "denied":
		h.read, h.failing = time.Time{}, now
	case called:
		h.failing = now
	}
}

// With a failover region an outage of one region has no effect. The sequences are random as above. No first mount
// may fail, and a republish may fail only within the backoff of both regions.
func TestR14_FailoverMatchesModel(t *testing.T) {
	clock := rig.NewClock()
	r := rig.New(t, rig.Options{
		Now: clock.Now, DefaultRegion: rig.Region, RefreshInterval: modelInterval, MaxStale: rig.NoStale,
		AWS: awsclient.Options{MaxAttempts: 1},
	})
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		m := &freshnessModel{r: r, clock: clock, secret: fmt.Sprintf("secret-%d", runs), second: failoverRegion, mode: "up", restore: func() {}}
		defer func() { m.restore() }()
		h := &knowledge{uid: fmt.Sprintf("uid-%d", runs), mounted: map[string]time.Time{}}
		lastOutage := map[string]time.Time{}
		out := func(region string) func(*rapid.T) {
			return func(*rapid.T) {
				m.turn(region, awssim.Fault{Service: "secretsmanager", Region: region, Status: 503})
				lastOutage[region] = clock.Now()
			}
		}
		m.rotate(t)
		t.Repeat(map[string]func(*rapid.T){
			"primary out": out(rig.Region), "failover region out": out(failoverRegion), "rotate": m.rotate,
			"recovery": func(*rapid.T) { m.turn("up", awssim.Fault{}) },
			"time": func(t *rapid.T) {
				m.step(t)
				if m.mode != "up" {
					lastOutage[m.mode] = clock.Now()
				}
			},
			"first mount": func(t *rapid.T) {
				m.serial++
				pod := fmt.Sprintf("pod-%d-of-%s", m.serial, h.uid)
				if value, err := m.mount(t, h, pod); err != nil || !m.heldWithin(value, time.Second) {
					t.Fatalf("first mount: got %q and %v, want what AWS holds", value, err)
				}
				h.pods = append(h.pods, pod)
			},
			"republish": func(t *rapid.T) {
				if len(h.pods) == 0 {
					t.Skip("no pod yet")
				}
				value, err := m.mount(t, h, rapid.SampledFrom(h.pods).Draw(t, "pod"))
				backedOff := func(region string) bool { return clock.Now().Sub(lastOutage[region]) <= 11*time.Minute }
				switch {
				case err == nil && !m.heldWithin(value, modelInterval*11/10):
					t.Fatalf("republish: got %q, which AWS has not held for more than an interval", value)
				case err != nil && (!backedOff(rig.Region) || !backedOff(failoverRegion)):
					t.Fatalf("republish: %v", err)
				}
			},
		})
	})
}
