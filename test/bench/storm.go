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

// The cluster of the scenario storm. As with Deployments, each node has the same pods. Each node has its own provider.
const (
	stormNodes    = 20
	stormPods     = 30  // per node
	stormAccounts = 24  // per node: six of them have two pods
	stormSecrets  = 100 // per node: three or four per pod, not shared

	stormTimeout = 5 * time.Minute
)

// The minimum number of AWS calls in the storm.
const (
	stormSTS   = stormNodes * stormAccounts
	stormReads = stormNodes * stormSecrets
)

// The account's quotas. A bucket holds the tokens of one second.
var (
	stormSTSQuota  = awssim.Quota{Service: "sts", Operation: "AssumeRoleWithWebIdentity", Rate: 60, Burst: 60}
	stormReadQuota = awssim.Quota{Service: "secretsmanager", Operation: "GetSecretValue", Rate: 250, Burst: 250}
)

// quotaSeconds is how long a quota needs to grant this many calls.
func quotaSeconds(q awssim.Quota, calls int) float64 { return float64(calls-q.Burst) / q.Rate }

// stormFloor is in seconds. Both quotas give 7.
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

// storm collects the results of all repetitions.
type storm struct {
	took      sample // until the last pod's volume was mounted
	failed    failures
	unmounted int       // pods without a volume at stormTimeout
	sts       []outcome // one entry per repetition
	reads     []outcome
}

// podOnNode is a pod's volume on a node. node counts from 0.
type podOnNode struct {
	node int
	req  *v1alpha1.MountRequest
}

// stormPods returns the pods of all nodes.
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
	if _, err := w.warmUpAWS(ctx, stormSet.names(0, 1)); err != nil {
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

// start mounts the volumes of all pods, as the nodes' kubelets do.
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
			Note: fmt.Sprintf("storm: %d nodes, each with %d pods of %d ServiceAccounts with %d secrets; quotas: STS %g/s, GetSecretValue %g/s, each with a burst of one second; floor = (calls - burst) ÷ quota",
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

// stormFault describes a wrong number of granted calls. Each volume needs its calls exactly once.
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
