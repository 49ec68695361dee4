package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// The volumes of the scenario scale.
const (
	scalePods    = 110 // the default maximum of a node
	scaleSecrets = 20  // per pod
	scaleBytes   = 4096
	scaleClients = 16
	scaleBatch   = 100 // identities per batch; CPU is compared between batches
)

// measureScale fills a node, then mounts for many more identities than the cache can hold.
func measureScale(ctx context.Context, l *lab) ([]measurement, error) {
	identities := l.pick(1000, 400)
	set := secretSet{Prefix: "scale", Count: scalePods * scaleSecrets, Bytes: scaleBytes}
	var out []measurement
	err := l.inWorld(ctx, awsDelay, func(w *world) error {
		full := make([]pod, scalePods)
		for i := range full {
			full[i] = pod{fmt.Sprintf("full-%d", i), fmt.Sprintf("full-%d", i), set.names(i*scaleSecrets, scaleSecrets)}
		}
		many := make([]pod, identities)
		for i := range many {
			many[i] = pod{fmt.Sprintf("many-%d", i), fmt.Sprintf("many-%d", i), set.names(0, scaleSecrets)}
		}
		fullReqs, err := w.requests(full...)
		if err != nil {
			return err
		}
		manyReqs, err := w.requests(many...)
		if err != nil {
			return err
		}
		return w.withProvider(ctx, func(p *provider) (err error) {
			out, err = scale(ctx, p, fullReqs, manyReqs)
			return err
		})
	}, set)
	return out, err
}

func scale(ctx context.Context, p *provider, full, many []*v1alpha1.MountRequest) ([]measurement, error) {
	if _, err := p.mountAll(ctx, full, scaleClients); err != nil {
		return nil, err
	}
	node, err := residentMiB(p.pid, residentPeak)
	if err != nil {
		return nil, err
	}
	var cpu sample // of each batch
	started := time.Now()
	for batch := range slices.Chunk(many, scaleBatch) {
		before, err := cpuTime(p.pid)
		if err != nil {
			return nil, err
		}
		if _, err := p.mountAll(ctx, batch, scaleClients); err != nil {
			return nil, err
		}
		after, err := cpuTime(p.pid)
		if err != nil {
			return nil, err
		}
		cpu.add(after - before)
	}
	took := time.Since(started)
	peak, err := residentMiB(p.pid, residentPeak)
	return []measurement{
		{What: "node's peak RSS", Value: node, Unit: "MiB", Note: fmt.Sprintf("scale: %d pods × %d secrets of %d bytes, each its own", len(full), scaleSecrets, scaleBytes)},
		{What: "peak RSS", Value: peak, Unit: "MiB", Note: fmt.Sprintf("scale: after %d more identities, %.0f MiB of values", len(many), float64(len(many)*scaleSecrets*scaleBytes)/mib)},
		{What: "CPU per mount", Value: cpu.median() / scaleBatch, Unit: "ms", Note: "scale: the median of batches of 100"},
		{What: "last/first 300", Value: cpu[max(len(cpu)-3, 0):].median() / cpu[:min(len(cpu), 3)].median(), Unit: "x", Note: fmt.Sprintf("medians of the last and first three batches; their CPU: %.0f ms; the batches took %.1f s in all", []float64(cpu), took.Seconds())},
	}, err
}
