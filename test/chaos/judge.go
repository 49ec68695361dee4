package main

import (
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// The rules' bounds.
const (
	firstMountWindow = time.Second               // before the request's arrival
	republishWindow  = refreshInterval * 11 / 10 // and the spread of 10 %
)

// rule names a rule that an answer can break.
type rule string

// The rules.
const (
	ruleForeign   rule = "foreign-value"  // a value of another object, or one that its identity may not read
	ruleTorn      rule = "torn-volume"    // not exactly the volume's files, or a value that is not whole
	ruleRegion    rule = "wrong-region"   // a region that the class does not name, or two in one volume
	ruleOld       rule = "old-value"      // older than the rules of freshness allow
	ruleVersion   rule = "wrong-version"  // a version that stands for two contents
	ruleCode      rule = "code-not-final" // left a server that lives
	ruleDeadline  rule = "deadline"       // the caller's passed
	ruleTransport rule = "no-answer"      // the connection broke, and no fault explains it
	ruleRecovery  rule = "no-recovery"    // a minute after the faults
	ruleLeak      rule = "leak"           // memory, goroutines or descriptors did not come back
	ruleCrash     rule = "crash"          // the provider ended by itself
)

// violation is one broken rule.
type violation struct {
	rule rule
	text string
}

// call is one Mount, and what the judge has to know of the world around it.
type call struct {
	pod         string
	identity    int
	objects     []object
	steals      bool      // the objects are not its identity's
	sent, ended time.Time // at the client
	ages        ages

	// outage says that AWS, or the network to it, may have failed transiently within the call or shortly before.
	outage bool
	// torn says that the provider's process or socket was in trouble within the call.
	torn bool

	resp     *v1alpha1.MountResponse
	err      error
	answered bool // err came from a server, not from the client's side of the connection
}

// ages says which of the rules of freshness the provider goes by. Where it cannot be told whether the
// provider has answered a volume's request before, both are possible.
type ages struct{ first, republish bool }

// bound is how old a value may be when the request is sent.
func (a ages) bound(outage bool) time.Duration {
	bound := firstMountWindow
	if a.republish {
		bound = republishWindow
	}
	if a.first && outage {
		bound = max(bound, maxStale)
	}
	return bound
}

// judge holds answers against the rules.
type judge struct {
	ledger *ledger

	mu       sync.Mutex
	versions map[place]map[string]int // version → value's number
	numbers  map[place]map[int]string // and back
}

func newJudge(l *ledger) *judge {
	return &judge{ledger: l, versions: map[place]map[string]int{}, numbers: map[place]map[int]string{}}
}

// notFinal are the codes after which the kubelet takes a volume for perhaps mounted.
var notFinal = map[codes.Code]bool{
	codes.Canceled: true, codes.DeadlineExceeded: true, codes.Unavailable: true, codes.ResourceExhausted: true, codes.Aborted: true,
}

// judge gives the rules that the call's outcome breaks.
func (j *judge) judge(c call) []violation {
	if c.err != nil {
		return judgeError(c)
	}
	if c.steals {
		return []violation{{ruleForeign, fmt.Sprintf("%s of %s was given %s, which its role may not read", c.pod, identities[c.identity].name(), c.objects[0].name)}}
	}
	return j.judgeVolume(c)
}

func judgeError(c call) []violation {
	code := status.Code(c.err)
	say := func(r rule) []violation {
		return []violation{{r, fmt.Sprintf("%s after %s: %v", c.pod, c.ended.Sub(c.sent).Round(time.Millisecond), c.err)}}
	}
	switch {
	case c.answered && notFinal[code]:
		return say(ruleCode)
	case c.answered:
		return nil
	case code == codes.DeadlineExceeded:
		return say(ruleDeadline)
	case !c.torn:
		return say(ruleTransport)
	default:
		return nil
	}
}

// judgeVolume holds what was mounted against the rules.
func (j *judge) judgeVolume(c call) []violation {
	var out []violation
	add := func(r rule, format string, args ...any) {
		out = append(out, violation{r, c.pod + " of " + identities[c.identity].name() + ": " + fmt.Sprintf(format, args...)})
	}
	files := map[string]string{}
	for _, f := range c.resp.GetFiles() {
		files[f.GetPath()] = string(f.GetContents())
	}
	if len(files) != len(c.objects) || len(c.resp.GetFiles()) != len(files) {
		add(ruleTorn, "%d files, want %d", len(c.resp.GetFiles()), len(c.objects))
	}
	versions := map[string]string{}
	for _, v := range c.resp.GetObjectVersion() {
		versions[v.GetId()] = v.GetVersion()
	}
	from, mixed := "", false
	for _, o := range c.objects {
		text, ok := files[o.file]
		if !ok {
			add(ruleTorn, "no file %s", o.file)
			continue
		}
		p, number, err := parse(text)
		if err != nil {
			add(ruleTorn, "file %s: %v", o.file, err)
			continue
		}
		if p.name != o.name {
			add(ruleForeign, "file %s holds %s", o.file, p.name)
			continue
		}
		if from == "" {
			from = p.region
		}
		switch allowed := identities[c.identity].regions(); {
		case p.region != from && mixed: // said already
		case p.region != from:
			mixed = true
			add(ruleRegion, "values of %s and of %s in one volume", from, p.region)
		case p.region != allowed[0] && (len(allowed) == 1 || p.region != allowed[1]):
			add(ruleRegion, "a value of %s", p.region)
		case p.region != allowed[0] && !c.outage && !c.ages.republish:
			add(ruleRegion, "a value of %s, although nothing was wrong with %s", p.region, allowed[0])
		}
		bound := c.ages.bound(c.outage)
		if at, ok := j.ledger.newest(p, number, c.ended); !ok || at.Before(c.sent.Add(-bound)) {
			add(ruleOld, "value %d of %s in %s could last be read %s before the request, and may be %s old (first mount %t, republish %t, outage %t)",
				number, p.name, p.region, c.sent.Sub(at).Round(time.Millisecond), bound, c.ages.first, c.ages.republish, c.outage)
		}
		if !j.versioned(p, versions[o.file], number) {
			add(ruleVersion, "version %q of %s in %s is missing, stands for two values, or is one of two of a value", versions[o.file], p.name, p.region)
		}
	}
	return out
}

// versioned notes that version stands for a value, and reports whether it stands for no other, and no other for it.
func (j *judge) versioned(p place, version string, number int) bool {
	if version == "" {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.versions[p] == nil {
		j.versions[p], j.numbers[p] = map[string]int{}, map[int]string{}
	}
	knownNumber, seenVersion := j.versions[p][version]
	knownVersion, seenNumber := j.numbers[p][number]
	if !seenVersion && !seenNumber {
		j.versions[p][version], j.numbers[p][number] = number, version
		return true
	}
	return knownNumber == number && knownVersion == version
}
