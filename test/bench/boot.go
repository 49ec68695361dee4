package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// The node of the scenarios boot and sweep.
const (
	bootPods     = 100
	bootAccounts = 10
	bootSecrets  = 10 // per ServiceAccount, in each of its pods
)

var bootSet = secretSet{Prefix: "boot", Count: bootAccounts * bootSecrets, Bytes: smallSecret}

// boot returns the mount requests of a node that starts.
func (w *world) boot() ([]*v1alpha1.MountRequest, error) {
	pods := make([]pod, bootPods)
	for i := range pods {
		account := i % bootAccounts
		pods[i] = pod{fmt.Sprintf("pod-%d", i), fmt.Sprintf("account-%d", account), bootSet.names(account*bootSecrets, bootSecrets)}
	}
	return w.requests(pods...)
}

// measureBoot mounts the volumes of all pods of a node at once.
func measureBoot(ctx context.Context, l *lab) ([]measurement, error) {
	var (
		took, peak sample
		calls      awsCount
	)
	err := l.inWorld(ctx, awsDelay, func(w *world) error {
		if _, err := w.warmUpAWS(ctx, bootSet.names(0, 1)); err != nil {
			return err
		}
		reqs, err := w.boot()
		if err != nil {
			return err
		}
		for range l.pick(9, 3) {
			before, err := w.aws.count(ctx)
			if err != nil {
				return err
			}
			err = w.withProvider(ctx, func(p *provider) error {
				d, err := p.mountAll(ctx, reqs, 0)
				if err != nil {
					return err
				}
				took.add(d)
				rss, err := residentMiB(p.pid, residentPeak)
				peak = append(peak, rss)
				return err
			})
			if err != nil {
				return err
			}
			after, err := w.aws.count(ctx)
			if err != nil {
				return err
			}
			seen := after.since(before)
			calls = awsCount{max(calls.sts, seen.sts), max(calls.reads, seen.reads), max(calls.connections, seen.connections)}
		}
		return nil
	}, bootSet)
	return []measurement{
		{What: "time", Value: took.median(), Unit: "ms", Note: "boot: counts are the highest, time and memory the median of all repetitions"},
		{What: "STS calls", Value: float64(calls.sts)},
		{What: "reads", Value: float64(calls.reads)},
		{What: "connections", Value: float64(calls.connections)},
		{What: "peak RSS", Value: peak.median(), Unit: "MiB"},
	}, err
}

// sweepsAtATime is how many volumes the kubelet republishes at a time. It has one worker per pod, but the workers are not in step.
const sweepsAtATime = 4

// measureSweep republishes the node's volumes while no value changes.
func measureSweep(ctx context.Context, l *lab) ([]measurement, error) {
	const sweeps = 3
	var (
		cpu   sample
		calls awsCount
		took  sample
	)
	err := l.inWorld(ctx, awsDelay, func(w *world) error {
		reqs, err := w.boot()
		if err != nil {
			return err
		}
		again := slices.Repeat(reqs, sweeps)
		for range l.pick(5, 2) {
			err := w.withProvider(ctx, func(p *provider) error {
				if _, err := p.mountAll(ctx, reqs, 0); err != nil {
					return err
				}
				time.Sleep(time.Second) // exclude work that the first mounts left behind
				before, err := w.aws.count(ctx)
				if err != nil {
					return err
				}
				cpuBefore, err := cpuTime(p.pid)
				if err != nil {
					return err
				}
				d, err := p.mountAll(ctx, again, sweepsAtATime)
				if err != nil {
					return err
				}
				cpuAfter, err := cpuTime(p.pid)
				if err != nil {
					return err
				}
				cpu.add(cpuAfter - cpuBefore)
				took.add(d / time.Duration(len(again)) * sweepsAtATime)
				after, err := w.aws.count(ctx)
				seen := after.since(before)
				calls = awsCount{max(calls.sts, seen.sts), max(calls.reads, seen.reads), 0}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	}, bootSet)
	return []measurement{
		{What: "STS calls", Value: float64(calls.sts)},
		{What: "reads", Value: float64(calls.reads)},
		{What: "CPU", Value: cpu.median(), Unit: "ms", Note: fmt.Sprintf("sweep: %d republishes, %d at a time, %.2f ms each", sweeps*bootPods, sweepsAtATime, took.median())},
	}, err
}
