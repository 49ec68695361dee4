package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// The volumes of the scenario flood. Each pod has its own ServiceAccount, so no value serves two pods.
const (
	floodPods    = 12
	floodBytes   = 60_000 // per secret; AWS allows 65,536
	floodSecrets = 500    // 28.6 MiB: refused
	legalSecrets = 68     // 3.89 MiB: mounted; the CSI driver allows 4 MiB
)

var floodSet = secretSet{Prefix: "flood", Count: floodSecrets + legalSecrets, Bytes: floodBytes}

// measureFlood mounts volumes above the size limit, all at once, and then as many volumes just below the limit.
func measureFlood(ctx context.Context, l *lab) ([]measurement, error) {
	var f flood
	for range l.pick(3, 1) {
		if err := l.inWorld(ctx, awsDelay, func(w *world) error { return f.add(ctx, w) }, floodSet); err != nil {
			return nil, err
		}
	}
	return f.measurements(), nil
}

// flood collects the results, one entry per repetition.
type flood struct {
	refused, mounted []*volumes
	reads            sample // of the refused volumes
	refusing, peak   sample // memory in MiB
}

func (f *flood) add(ctx context.Context, w *world) error {
	var tooLarge, legal []pod
	for i := range floodPods {
		account := fmt.Sprintf("flood-%d", i)
		tooLarge = append(tooLarge, pod{fmt.Sprintf("large-%d", i), account, floodSet.names(0, floodSecrets)})
		legal = append(legal, pod{fmt.Sprintf("legal-%d", i), account, floodSet.names(floodSecrets, legalSecrets)})
	}
	floodReqs, err := w.requests(tooLarge...)
	if err != nil {
		return err
	}
	legalReqs, err := w.requests(legal...)
	if err != nil {
		return err
	}
	if _, err := w.warmUpAWS(ctx, floodSet.names(0, 1)); err != nil {
		return err
	}
	if err := w.aws.forgetCalls(ctx); err != nil {
		return err
	}
	return w.withProvider(ctx, func(p *provider) error {
		f.refused = append(f.refused, p.mountVolumes(ctx, floodReqs, refusedAsTooLarge))
		calls, err := w.aws.outcomes(ctx)
		if err != nil {
			return err
		}
		f.reads = append(f.reads, float64(calls[opRead].granted))
		peak, err := residentMiB(p.pid, residentPeak)
		if err != nil {
			return err
		}
		f.refusing = append(f.refusing, peak)
		f.mounted = append(f.mounted, p.mountVolumes(ctx, legalReqs, mountedWhole))
		peak, err = residentMiB(p.pid, residentPeak)
		f.peak = append(f.peak, peak)
		return err
	})
}

// volumes is a batch of volumes that were mounted at once.
type volumes struct {
	mu    sync.Mutex
	all   int
	right int    // got the expected response
	wrong string // the first unexpected response
	took  time.Duration
}

// mountVolumes mounts all volumes at once. judge returns what is wrong with a response, or "".
func (p *provider) mountVolumes(ctx context.Context, reqs []*v1alpha1.MountRequest, judge func(*v1alpha1.MountResponse, error) string) *volumes {
	ctx, cancel := context.WithTimeout(ctx, kubeletTimeout)
	defer cancel()
	out := &volumes{all: len(reqs)}
	started := time.Now()
	var running sync.WaitGroup
	for _, req := range reqs {
		running.Go(func() {
			resp, _, err := p.mount(ctx, req)
			out.add(judge(resp, err))
		})
	}
	running.Wait()
	out.took = time.Since(started)
	return out
}

func (v *volumes) add(wrong string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case wrong == "":
		v.right++
	case v.wrong == "":
		v.wrong = wrong
	}
}

// measureVolumes reports how many got the expected response in the worst repetition.
func measureVolumes(what string, repetitions []*volumes) measurement {
	m := measurement{What: what, Value: float64(repetitions[0].right)}
	var took sample
	for _, v := range repetitions {
		took.add(v.took)
		m.Value = min(m.Value, float64(v.right))
		if v.right < v.all && m.Fault == "" {
			m.Fault = fmt.Sprintf("%d of %d got another response, the first: %s", v.all-v.right, v.all, v.wrong)
		}
	}
	m.Note = fmt.Sprintf("they took %.1f s", took.median()/1000)
	return m
}

func refusedAsTooLarge(_ *v1alpha1.MountResponse, err error) string {
	s := status.Convert(err)
	if s.Code() == codes.FailedPrecondition && strings.Contains(s.Message(), "--max-response-bytes") {
		return ""
	}
	return fmt.Sprintf("%s: %s", s.Code(), s.Message())
}

func mountedWhole(resp *v1alpha1.MountResponse, err error) string {
	if err != nil {
		return err.Error()
	}
	size := 0
	for _, f := range resp.GetFiles() {
		size += len(f.GetContents())
	}
	if size != legalSecrets*floodBytes {
		return fmt.Sprintf("%d files of %d bytes in all", len(resp.GetFiles()), size)
	}
	return ""
}

func (f *flood) measurements() []measurement {
	refused, mounted := measureVolumes("refused", f.refused), measureVolumes("mounted", f.mounted)
	refused.Note = fmt.Sprintf("flood: %d volumes at once, %d secrets of %d bytes each; %s", floodPods, floodSecrets, floodBytes, refused.Note)
	mounted.Note = fmt.Sprintf("%d volumes of %.2f MiB at once, in the same process; %s", floodPods, float64(legalSecrets*floodBytes)/mib, mounted.Note)
	return []measurement{
		refused,
		{What: "reads for the refused", Value: f.reads.most(), Note: "a volume exceeds the limit after 69 or 70 secrets"},
		{What: "peak RSS refusing", Value: f.refusing.most(), Unit: "MiB"},
		mounted,
		{What: "peak RSS", Value: f.peak.most(), Unit: "MiB", Note: "flood: the highest of all repetitions"},
	}
}
