package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A seed is a schedule: printed with a failure, it repeats.
func TestPlan_FollowsFromTheSeed(t *testing.T) {
	exported := cmp.AllowUnexported(step{}, fault{}, podPlan{}, rotation{})
	differ := false
	for n := range 100 {
		if diff := cmp.Diff(stepAt(7, n), stepAt(7, n), exported); diff != "" {
			t.Fatalf("step %d of one seed is two steps: %s", n, diff)
		}
		differ = differ || cmp.Diff(stepAt(7, n), stepAt(8, n), exported) != ""
	}
	if !differ {
		t.Error("two seeds are one schedule")
	}
}

// The three seeds that make chaos plays have every fault there is.
func TestPlan_HasEveryFault(t *testing.T) {
	missing := map[kind]bool{}
	for _, k := range []kind{
		awsLatency, awsError, awsThrottle, awsHang, awsCut, stsLatency, stsError, stsThrottle, stsHang, stsCut,
		apiError, apiAway, apiSlow, netCut, netDelay, netHalfOpen, netBlackHole, denied,
		kill, terminate, pause, removeSocket, removeDir, loseDir, second, secondKilled, awsClock, tokenClock, longOutage, longSilence,
	} {
		missing[k] = true
	}
	for seed := range 3 {
		for n := range 48 { // no seed ends earlier with the default of --mounts
			for _, f := range stepAt(uint64(seed+1), n).faults {
				delete(missing, f.kind)
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("faults that do not come: %v", missing)
	}
}

// Two faults of a step that befall the same thing would undo each other.
func TestPlan_OneFaultOfAKindInAStep(t *testing.T) {
	for n := range 500 {
		s := stepAt(3, n)
		seen := map[target]bool{}
		processes := 0
		for _, f := range s.faults {
			if tears[f.kind] || f.kind == pause || f.kind == removeSocket || f.kind == removeDir || f.kind == loseDir {
				processes++
			}
			onLink := f.kind == netCut || f.kind == netDelay || f.kind == netHalfOpen || f.kind == netBlackHole || f.kind == apiAway || f.kind == apiSlow
			if onLink && seen[f.target] {
				t.Errorf("two faults on one link: %s", s)
			}
			seen[f.target] = seen[f.target] || onLink
			if f.start+f.lasts > s.length {
				t.Errorf("a fault outlasts its step: %s", s)
			}
		}
		if processes > 1 {
			t.Errorf("two faults of the process: %s", s)
		}
	}
}
