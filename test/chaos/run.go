package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// recoveryTime is how soon after the last fault every volume has to be mounted.
const recoveryTime = time.Minute

// baselineTime is how soon memory, goroutines and descriptors have to be back: idle connections to AWS last 90 s.
const baselineTime = 100 * time.Second

// result is what one seed gave.
type result struct {
	seed          uint64
	wanted        int64 // mounts
	mounts        int64 // that gave files
	refused       int64 // that the provider refused
	broken        int64 // that ended with the connection, for a reason
	strictFirst   int64 // first mounts that nothing excused an old value of
	strictAgain   int64 // republishes likewise
	steps         int
	longest       time.Duration // of a mount
	faults        map[kind]int
	recovered     time.Duration // from the last fault until all was mounted
	before, after usage
	violations    []found
	took          time.Duration
}

// found is a violation, and the steps that led to it.
type found struct {
	violation
	steps []step
}

// run plays one seed until there are so many mounts.
type run struct {
	seed   uint64
	mounts int64
	out    io.Writer

	world   *world
	kubelet *kubelet

	mu     sync.Mutex
	recent []step // the last ones
	found  []found
}

// stepsShown is how many steps are told with a violation.
const stepsShown = 3

func (r *run) report(v violation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = append(r.found, found{v, slices.Clone(r.recent)})
	if len(r.found) <= violationsShown {
		fmt.Fprintf(r.out, "seed %d: %s: %s\n", r.seed, v.rule, v.text)
		for _, s := range r.recent {
			fmt.Fprintf(r.out, "    %s\n", s)
		}
	}
}

// violationsShown is how many violations of a seed are told in full.
const violationsShown = 10

// playSeed plays a seed in dir. Its error says that the test itself could not go on.
func playSeed(ctx context.Context, program, dir string, seed uint64, mounts int64, out io.Writer) (result, error) {
	began := time.Now()
	r := &run{seed: seed, mounts: mounts, out: out}
	var err error
	r.world, err = newWorld(program, dir, func(err error) { r.report(violation{ruleCrash, err.Error()}) })
	if err != nil {
		return result{}, err
	}
	defer r.world.close()
	if err := r.world.start(ctx); err != nil {
		return result{}, err
	}
	drivers, err := newDrivers(r.world.volume + "/aws.sock")
	if err != nil {
		return result{}, err
	}
	defer drivers.close()
	r.kubelet = &kubelet{world: r.world, judge: newJudge(r.world.ledger), drivers: drivers, report: r.report}

	res := result{seed: seed, wanted: mounts}
	if res.before, err = r.baseline(ctx); err == nil {
		res.steps, res.recovered, err = r.live(ctx)
	}
	drivers.keepOne()
	if err == nil {
		res.after, err = r.backToBaseline(ctx, res.before)
	}
	if err == nil && ctx.Err() == nil {
		if bad := r.world.end(); bad != nil {
			r.report(violation{ruleCrash, bad.Error()})
		}
	}
	k := r.kubelet
	res.mounts, res.refused, res.broken = k.mounts.Load(), k.refused.Load(), k.broken.Load()
	res.strictFirst, res.strictAgain, res.longest = k.strictFirst.Load(), k.strictAgain.Load(), time.Duration(k.longest.Load())
	res.faults, res.took = r.world.troubles.counts, time.Since(began)
	r.mu.Lock()
	defer r.mu.Unlock()
	res.violations = r.found
	return res, errors.Join(err, ctx.Err())
}

// baseline is what the provider holds once it has served every identity, many at a time.
func (r *run) baseline(ctx context.Context) (usage, error) {
	life, end := context.WithCancel(ctx)
	defer end()
	pods := r.podsOfAll("warm", 4)
	for i, p := range pods {
		r.kubelet.run(life, p, r.seed+uint64(i))
	}
	if missing := awaitMounts(ctx, pods, time.Now(), recoveryTime); len(missing) > 0 {
		return usage{}, fmt.Errorf("%d volumes of %d cannot be mounted before there is any fault", len(missing), len(pods))
	}
	wait(ctx, 2*mostRepublish)
	end()
	r.kubelet.pods.Wait()
	wait(ctx, time.Second)
	return r.world.current().measure(ctx)
}

// podsOfAll are so many pods of each identity.
func (r *run) podsOfAll(prefix string, each int) []*pod {
	var pods []*pod
	for i := range identities {
		for n := range each {
			pods = append(pods, newPod(fmt.Sprintf("%s-%d-%d", prefix, i, n), i, false))
		}
	}
	return pods
}

// awaitMounts waits until each pod has been mounted by a request that was sent after since, and gives those that
// are not mounted in time.
func awaitMounts(ctx context.Context, pods []*pod, since time.Time, within time.Duration) []*pod {
	deadline := since.Add(within)
	for {
		missing := slices.DeleteFunc(slices.Clone(pods), func(p *pod) bool { return p.mounted.Load() >= since.UnixNano() })
		if len(missing) == 0 || ctx.Err() != nil || time.Now().After(deadline) {
			return missing
		}
		wait(ctx, 10*time.Millisecond)
	}
}

// alive is a pod that runs, until a step.
type alive struct {
	*pod
	until int
	end   context.CancelFunc
}

// live plays step after step, then has the faults end, and waits until all is mounted.
func (r *run) live(ctx context.Context) (steps int, recovered time.Duration, err error) {
	var pods []alive
	defer func() {
		for _, p := range pods {
			p.end()
		}
		r.kubelet.pods.Wait()
	}()
	for r.kubelet.mounts.Load() < r.mounts && ctx.Err() == nil {
		s := stepAt(r.seed, steps)
		r.mu.Lock()
		r.recent = append(r.recent, s)
		r.recent = r.recent[max(len(r.recent)-stepsShown, 0):]
		r.mu.Unlock()
		pods = slices.DeleteFunc(pods, func(p alive) bool {
			if p.until <= steps {
				p.end()
			}
			return p.until <= steps
		})
		started, err := r.playStep(ctx, s)
		pods = append(pods, started...)
		if err != nil {
			return steps, 0, fmt.Errorf("%s: %w", s, err)
		}
		r.world.aws.ResetCalls() // nobody looks, and they are kept otherwise
		steps++
	}
	over := time.Now()
	all := r.podsOfAll("late", 2)
	for i, p := range all {
		r.kubelet.run(r.lifetime(ctx, &pods, p), p, r.seed+uint64(i))
	}
	for _, p := range pods {
		if !p.steals && !slices.Contains(all, p.pod) {
			all = append(all, p.pod)
		}
	}
	missing := awaitMounts(ctx, all, over, recoveryTime)
	recovered = time.Since(over)
	for _, p := range missing {
		r.report(violation{ruleRecovery, fmt.Sprintf("%s of %s is not mounted %s after the faults", p.name, identities[p.identity].name(), recoveryTime)})
	}
	return steps, recovered, nil
}

// lifetime is the context of a pod that is entered among pods.
func (r *run) lifetime(ctx context.Context, pods *[]alive, p *pod) context.Context {
	life, end := context.WithCancel(ctx)
	*pods = append(*pods, alive{pod: p, until: 1 << 30, end: end})
	return life
}

// playStep has the faults, the new pods and the new values of a step happen, and gives the pods.
func (r *run) playStep(ctx context.Context, s step) ([]alive, error) {
	if err := r.kubelet.drivers.renew(); err != nil {
		return nil, err
	}
	var (
		parts  sync.WaitGroup
		mu     sync.Mutex
		errs   []error
		out    []alive
		begins = time.Now()
	)
	for _, f := range s.faults {
		parts.Go(func() {
			err := r.world.play(ctx, f)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	parts.Go(func() {
		for _, change := range s.rotations {
			wait(ctx, time.Until(begins.Add(change.start)))
			r.world.rotate(objects()[change.object])
		}
	})
	for i, plan := range s.pods {
		p := newPod(podName(s.number, i), plan.identity, plan.steals)
		life, end := context.WithCancel(ctx)
		out = append(out, alive{pod: p, until: s.number + plan.steps, end: end})
		parts.Go(func() {
			wait(ctx, plan.start)
			r.kubelet.run(life, p, r.seed<<32+uint64(s.number<<8+i))
		})
	}
	wait(ctx, s.length)
	parts.Wait()
	return out, errors.Join(errs...)
}

// backToBaseline gives what the provider holds once that is back to what it was, or cannot be.
func (r *run) backToBaseline(ctx context.Context, before usage) (usage, error) {
	deadline := time.Now().Add(baselineTime)
	for {
		now, err := r.world.current().measure(ctx)
		if err != nil {
			return usage{}, fmt.Errorf("measure the provider: %w", err)
		}
		over := now.exceeds(before)
		if over == "" {
			return now, nil
		}
		if time.Now().After(deadline) {
			r.report(violation{ruleLeak, fmt.Sprintf("%s after the faults: %s", baselineTime, over)})
			return now, nil
		}
		if wait(ctx, time.Second); ctx.Err() != nil {
			return now, ctx.Err()
		}
	}
}

// String is the summary.
func (r result) String() string {
	var faults []string
	total := 0
	for _, k := range slices.Sorted(maps.Keys(r.faults)) {
		faults = append(faults, fmt.Sprintf("%s %d", k, r.faults[k]))
		total += r.faults[k]
	}
	kinds := map[rule]int{}
	for _, v := range r.violations {
		kinds[v.rule]++
	}
	violations := fmt.Sprintf("%d violations", len(r.violations))
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		violations += fmt.Sprintf(", %s %d", k, kinds[k])
	}
	return fmt.Sprintf(`seed %d: %d mounts in %d steps and %s, %d refused, %d connections broken, longest %s
    judged strictly: %d first mounts, %d republishes
    %d faults: %s
    all mounted %s after the last fault; %s, before %s
    %s
    repeat: make chaos CHAOSFLAGS='--seed %d --mounts %d'`,
		r.seed, r.mounts, r.steps, r.took.Round(time.Second), r.refused, r.broken, r.longest.Round(10*time.Millisecond),
		r.strictFirst, r.strictAgain, total, strings.Join(faults, ", "), r.recovered.Round(100*time.Millisecond), r.after, r.before,
		violations, r.seed, r.wanted)
}

// workFolder makes a folder whose path is short enough for a socket.
func workFolder() (string, error) { return os.MkdirTemp("", "chaos-") }
