package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// kind is what a fault does. Its text stands in the summary.
type kind string

// The faults.
const (
	awsLatency  kind = "aws-latency"
	awsError    kind = "aws-5xx"
	awsThrottle kind = "aws-throttle"
	awsHang     kind = "aws-hang"
	awsCut      kind = "aws-cut"

	stsLatency  kind = "sts-latency"
	stsError    kind = "sts-5xx"
	stsThrottle kind = "sts-throttle"
	stsHang     kind = "sts-hang"
	stsCut      kind = "sts-cut"

	apiError kind = "api-error"
	apiAway  kind = "api-away"
	apiSlow  kind = "api-slow"

	netCut       kind = "net-cut"       // connections are reset, and new ones too
	netDelay     kind = "net-delay"     // each chunk of bytes takes longer
	netHalfOpen  kind = "net-half-open" // the existing connections get no response, new ones work
	netBlackHole kind = "net-black-hole"

	denied kind = "denied" // a role loses its permissions and gets them back

	kill         kind = "kill"         // SIGKILL, and a new process after a while
	terminate    kind = "terminate"    // SIGTERM, and a new process after a while
	pause        kind = "pause"        // SIGSTOP, SIGCONT
	removeSocket kind = "remove-file"  // the socket's file
	removeDir    kind = "remove-dir"   // the provider volume, which is made again at the end
	loseDir      kind = "lose-dir"     // the provider volume, which nobody makes again
	second       kind = "second"       // a second instance by mistake, ended by SIGTERM
	secondKilled kind = "second-kill"  // the same, ended by SIGKILL: its socket stays
	awsClock     kind = "aws-clock"    // AWS's clock jumps
	tokenClock   kind = "token-clock"  // the cluster's clock jumps: iat, nbf and exp of its tokens
	longOutage   kind = "long-outage"  // AWS answers 503 for longer than a mount may take
	longSilence  kind = "long-silence" // AWS does not answer for longer than a mount may take
)

// target is whom a fault of the network or of AWS befalls.
type target string

const (
	toSecrets    target = "secretsmanager"
	toParameters target = "ssm"
	toReads      target = "reads" // both
	toSTS        target = "sts"
	toAPI        target = "api"
)

// fault is one fault within a step.
type fault struct {
	kind     kind
	start    time.Duration // after the step's begin
	lasts    time.Duration
	target   target
	region   string        // of the calls to hit; empty for all
	amount   time.Duration // of a latency, a delay or a jump of a clock
	status   int           // HTTP
	identity int           // that is denied
}

func (f fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s for %s", f.kind, f.start, f.lasts)
	if f.target != "" {
		fmt.Fprintf(&b, " to %s", f.target)
	}
	if f.region != "" {
		fmt.Fprintf(&b, " in %s", f.region)
	}
	if f.amount != 0 {
		fmt.Fprintf(&b, " by %s", f.amount)
	}
	if f.status != 0 {
		fmt.Fprintf(&b, " with %d", f.status)
	}
	if f.kind == denied {
		fmt.Fprintf(&b, " of %s", identities[f.identity].name())
	}
	return b.String()
}

// step is one stretch of the schedule: faults, pods that start, and values that change.
type step struct {
	number    int
	length    time.Duration
	faults    []fault
	pods      []podPlan
	rotations []rotation
}

// podPlan is a pod that starts. It is deleted some steps later.
type podPlan struct {
	start    time.Duration
	identity int
	steps    int // that it lives for
	// steals has the pod ask for a secret of another identity.
	steals bool
}

// rotation is a change of one object's value in all regions.
type rotation struct {
	start  time.Duration
	object int
}

func (s step) String() string {
	faults := make([]string, len(s.faults))
	for i, f := range s.faults {
		faults[i] = f.String()
	}
	if len(faults) == 0 {
		faults = []string{"quiet"}
	}
	return fmt.Sprintf("step %d (%s, %d pods start, %d values change): %s", s.number, s.length, len(s.pods), len(s.rotations), strings.Join(faults, "; "))
}

// Of a step.
const (
	shortStep   = 1200 * time.Millisecond
	podsPerStep = 10
	// Of so many steps the first ones are quiet: they have no faults and more pods, so that there are mounts for
	// which nothing excuses an old value. The first of the quiet ones still feel the faults before.
	quietEvery, quietSteps = 12, 5
	podsPerQuietStep       = 25
	// longEvery is how often there is a fault that outlasts a mount.
	longEvery = 24
)

// stepAt is the step of that number in the schedule of a seed: always the same.
func stepAt(seed uint64, number int) step {
	r := rand.New(rand.NewPCG(seed, uint64(number)))
	s, pods := step{number: number, length: shortStep}, podsPerStep
	switch {
	case number%longEvery == longEvery-1:
		s.faults = []fault{longFault(r, number)}
	case number%quietEvery < quietSteps:
		pods = podsPerQuietStep
	default:
		s.faults = someFaults(r)
	}
	for _, f := range s.faults {
		s.length = max(s.length, f.start+f.lasts+200*time.Millisecond)
	}
	for range pods {
		s.pods = append(s.pods, podPlan{
			start: upTo(r, s.length), identity: r.IntN(len(identities)), steps: 2 + r.IntN(5), steals: r.IntN(12) == 0,
		})
	}
	// Each value changes about every two seconds.
	for range int(s.length.Seconds() * float64(len(objects())) / 2) {
		s.rotations = append(s.rotations, rotation{start: upTo(r, s.length), object: r.IntN(len(objects()))})
	}
	slices.SortFunc(s.rotations, func(a, b rotation) int { return int(a.start - b.start) })
	return s
}

func upTo(r *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(d))).Round(time.Millisecond)
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + upTo(r, most-least)
}

// longFault outlasts the time that a mount may take. Both kinds come in turn.
func longFault(r *rand.Rand, number int) fault {
	f := fault{kind: longOutage, lasts: mountTimeout + between(r, time.Second, 3*time.Second), target: toReads, status: 503}
	if number/longEvery%2 == 1 {
		f.kind, f.status = longSilence, 0
	}
	return f
}

// someFaults are one to four, of which one at most befalls the provider's process and one at most each clock.
func someFaults(r *rand.Rand) []fault {
	var out []fault
	has := map[string]bool{}
	for range 1 + r.IntN(4) {
		group := []string{"aws", "aws", "sts", "api", "net", "net", "denied", "process", "process", "clock"}[r.IntN(10)]
		if has[group] {
			continue
		}
		has[group] = true
		out = append(out, faultOf(r, group))
	}
	return out
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func faultOf(r *rand.Rand, group string) fault {
	f := fault{start: upTo(r, 400*time.Millisecond), lasts: between(r, 300*time.Millisecond, 1500*time.Millisecond)}
	switch group {
	case "aws":
		f.kind = pick(r, awsLatency, awsError, awsThrottle, awsHang, awsCut)
		f.target = pick(r, toSecrets, toParameters, toReads)
		f.region = pick(r, "", region, failoverRegion)
	case "sts":
		f.kind = pick(r, stsLatency, stsError, stsThrottle, stsHang, stsCut)
		f.target = toSTS
	case "api":
		f.kind, f.target = pick(r, apiError, apiAway, apiSlow, netHalfOpen, netBlackHole), toAPI
	case "net":
		f.kind = pick(r, netCut, netDelay, netHalfOpen, netBlackHole)
		f.target = pick(r, toReads, toReads, toSTS)
	case "denied":
		f.kind, f.identity = denied, r.IntN(len(identities))
		f.lasts = between(r, 1500*time.Millisecond, 3*time.Second)
	case "process":
		f.kind = pick(r, kill, terminate, pause, removeSocket, removeDir, loseDir, second, secondKilled)
		f.lasts = between(r, 0, time.Second)
	case "clock":
		f.kind = pick(r, awsClock, tokenClock)
		f.amount = pick(r, -2*time.Hour, -20*time.Minute, -3*time.Minute, 3*time.Minute, 20*time.Minute, 2*time.Hour)
	}
	switch f.kind {
	case awsLatency, stsLatency:
		f.amount = between(r, 50*time.Millisecond, 2*time.Second)
	case apiSlow:
		f.amount = between(r, 50*time.Millisecond, time.Second)
	case netDelay:
		f.amount = between(r, 10*time.Millisecond, 200*time.Millisecond)
	case awsError, stsError, apiError:
		f.status = pick(r, 500, 503)
	}
	return f
}
