package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/awssim"
)

// The cluster of storm. Each node has the same pods, as it is with Deployments, and each its own provider.
const (
	stormNodes    = 20
	stormPods     = 30  // of each node
	stormAccounts = 24  // of each node's pods: six of them have two
	stormSecrets  = 100 // of each node: three or four of each pod, and of no other

	stormTimeout = 5 * time.Minute
)

// What the storm has to ask of AWS, at the least.
const (
	stormSTS   = stormNodes * stormAccounts
	stormReads = stormNodes * stormSecrets
)

// The account's quotas. A bucket holds the tokens of one second.
var (
	stormSTSQuota  = awssim.Quota{Service: "sts", Operation: "AssumeRoleWithWebIdentity", Rate: 60, Burst: 60}
	stormReadQuota = awssim.Quota{Service: "secretsmanager", Operation: "GetSecretValue", Rate: 250, Burst: 250}
)

// quotaSeconds is how long a quota takes to let so many calls through.
func quotaSeconds(q awssim.Quota, calls int) float64 { return float64(calls-q.Burst) / q.Rate }

// stormFloor is in seconds: 7 by either quota.
var stormFloor = max(quotaSeconds(stormSTSQuota, stormSTS), quotaSeconds(stormReadQuota, stormReads))

var stormSet = secretSet{Prefix: "storm", Count: stormSecrets, Bytes: smallSecret}

// measureStorm starts the pods of all nodes at once.
func measureStorm(ctx context.Context, l *lab) ([]measurement, error) {
	var s storm
	for range l.pick(3, 1) {
		if err := l.inWorld(ctx, awsDelay, func(w *world) error { return s.add(ctx, w) }, stormSet); err != nil {
			return nil, err
		}
	}
	return s.measurements(), nil
}

// storm is what the repetitions took and asked.
type storm struct {
	took      sample // until the last pod's volume was mounted
	failed    failures
	unmounted int       // pods that had no volume by stormTimeout
	sts       []outcome // once for each repetition
	reads     []outcome
}

// podOnNode is the volume of a pod on a node, counted from 0.
type podOnNode struct {
	node int
	req  *v1alpha1.MountRequest
}

// stormPods are the pods of all nodes.
func (w *world) stormPods() ([]podOnNode, error) {
	var out []podOnNode
	for node := range stormNodes {
		for i := range stormPods {
			first, next := i*stormSecrets/stormPods, (i+1)*stormSecrets/stormPods
			reqs, err := w.requests(pod{
				fmt.Sprintf("pod-%d-on-%d", i, node), fmt.Sprintf("account-%d", i%stormAccounts), stormSet.names(first, next-first),
			})
			if err != nil {
				return nil, err
			}
			out = append(out, podOnNode{node, reqs[0]})
		}
	}
	return out, nil
}

func (s *storm) add(ctx context.Context, w *world) error {
	if _, err := w.rehearse(ctx, stormSet.names(0, 1)); err != nil {
		return err
	}
	pods, err := w.stormPods()
	if err != nil {
		return err
	}
	return w.withProviders(ctx, stormNodes, func(nodes []*provider) error {
		if err := w.aws.forgetCalls(ctx); err != nil {
			return err
		}
		for _, q := range []awssim.Quota{stormSTSQuota, stormReadQuota} {
			if err := w.aws.setQuota(ctx, q); err != nil {
				return err
			}
		}
		s.start(ctx, nodes, pods)
		seen, err := w.aws.outcomes(ctx)
		s.sts = append(s.sts, seen[opAssumeRole])
		s.reads = append(s.reads, seen[opRead])
		return err
	})
}

// start mounts the volumes of all pods, as the kubelets of their nodes do.
func (s *storm) start(ctx context.Context, nodes []*provider, pods []podOnNode) {
	ctx, cancel := context.WithTimeout(ctx, stormTimeout)
	defer cancel()
	var (
		running sync.WaitGroup
		mounted atomic.Int64
	)
	started := time.Now()
	for _, pod := range pods {
		running.Go(func() {
			if nodes[pod.node].mountAsKubelet(ctx, pod.req, &s.failed) == nil {
				mounted.Add(1)
			}
		})
	}
	running.Wait()
	s.took.add(time.Since(started))
	s.unmounted += len(pods) - int(mounted.Load())
}

func (s *storm) measurements() []measurement {
	sts, stsThrottled := perRepetition(s.sts)
	reads, readsThrottled := perRepetition(s.reads)
	return []measurement{
		{
			What: "time", Value: s.took.median() / 1000, Unit: "s", Floor: stormFloor, Fault: s.fault(),
			Note: fmt.Sprintf("of storm: %d nodes, each with %d pods of %d ServiceAccounts with %d secrets; quotas: STS %g/s, GetSecretValue %g/s, and at first those of a second; the floor: the other calls ÷ quota",
				stormNodes, stormPods, stormAccounts, stormSecrets, stormSTSQuota.Rate, stormReadQuota.Rate),
		},
		{What: "failed mounts", Value: float64(s.failed.total()), Fault: s.failed.fault()},
		{What: "STS calls granted", Value: sts.most(), Fault: stormFault(sts, stormSTS)},
		{What: "STS calls throttled", Value: stsThrottled.median()},
		{What: "reads granted", Value: reads.most(), Fault: stormFault(reads, stormReads)},
		{What: "reads throttled", Value: readsThrottled.median()},
	}
}

func (s *storm) fault() string {
	if s.unmounted == 0 {
		return ""
	}
	return fmt.Sprintf("%d pods were not mounted within %s", s.unmounted, stormTimeout)
}

// stormFault is what is wrong with the calls granted: a volume needs each of them, and none twice.
func stormFault(granted sample, needed float64) string {
	for _, n := range granted {
		if n != needed {
			return fmt.Sprintf("%.0f in one repetition, %.0f are needed", n, needed)
		}
	}
	return ""
}

func perRepetition(outcomes []outcome) (granted, throttled sample) {
	for _, o := range outcomes {
		granted = append(granted, float64(o.granted))
		throttled = append(throttled, float64(o.throttled))
	}
	return granted, throttled
}
