package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"secrets-provider-aws/test/awssim"
)

// kubeletPatience is how long the kubelet waits for a mount.
const kubeletPatience = 2 * time.Minute

// outageInterval is the provider's --refresh-interval in outage: long enough for a republish within it,
// short enough to see one after it.
const outageInterval = 8 * time.Second

// measureOutage takes AWS away from a node on which one pod runs.
func measureOutage(ctx context.Context, l *lab) ([]measurement, error) {
	set := secretSet{Prefix: "outage", Count: 3, Bytes: smallSecret}
	var out []measurement
	err := l.inWorld(ctx, awsDelay, func(w *world) error {
		reqs, err := w.requests(
			pod{"known", "a", set.names(0, 3)}, pod{"new", "a", set.names(0, 3)}, pod{"stranger", "b", set.names(0, 3)},
		)
		if err != nil {
			return err
		}
		return w.withProvider(ctx, func(p *provider) error {
			ctx, cancel := context.WithTimeout(ctx, kubeletPatience)
			defer cancel()
			if _, _, err := p.mount(ctx, reqs[0]); err != nil {
				return err
			}
			mounted := time.Now()
			time.Sleep(1100 * time.Millisecond) // a first mount may share a read of the last second
			if err := w.aws.inject(ctx, awssim.Fault{Status: 503}); err != nil {
				return err
			}
			republished := measurement{What: "known pod republished", Unit: "ms", Note: "of outage: within --refresh-interval, " + outageInterval.String() + " here"}
			_, took, err := p.mount(ctx, reqs[0])
			out = append(out, republished.mustMount(took, err))
			started := measurement{What: "new pod mounted", Unit: "ms", Note: "AWS is asked first, with retries, and its last known values are served then"}
			_, took, err = p.mount(ctx, reqs[1])
			out = append(out, started.mustMount(took, err))
			refused := measurement{What: "stranger refused", Unit: "ms"}
			_, took, err = p.mount(ctx, reqs[2])
			out = append(out, refused.mustFail(took, err, "ServiceUnavailable"))

			time.Sleep(time.Until(mounted.Add(outageInterval * 3 / 2)))
			late := measurement{What: "republish after interval", Unit: "ms"}
			_, took, err = p.mount(ctx, reqs[0])
			out = append(out, late.mustFail(took, err, "ServiceUnavailable"))
			return nil
		}, "--refresh-interval="+outageInterval.String())
	}, set)
	return out, err
}

// measureBlackHole has AWS accept calls and never answer them: everywhere, then in the primary region alone,
// its STS included, where the class names a failover region.
func measureBlackHole(ctx context.Context, l *lab) ([]measurement, error) {
	refused, err := intoBlackHole(ctx, l, awssim.Fault{Hang: true}, false,
		func(took time.Duration, err error) measurement {
			return measurement{What: "answer", Unit: "ms"}.mustFail(took, err, "")
		})
	mounted, other := intoBlackHole(ctx, l, awssim.Fault{Hang: true, Region: region}, true,
		measurement{What: "with failover region", Unit: "ms", Note: "STS of the primary region is given 1 s, its reads 5 s"}.mustMount)
	return []measurement{refused, mounted}, errors.Join(err, other)
}

// intoBlackHole has a pod mount one secret, for the first time ever, while AWS fails.
func intoBlackHole(ctx context.Context, l *lab, f awssim.Fault, failover bool, judge func(time.Duration, error) measurement) (m measurement, err error) {
	set := secretSet{Prefix: "hole", Count: 1, Bytes: smallSecret, Both: true}
	err = l.inWorld(ctx, awsDelay, func(w *world) error {
		w.realHosts, w.failover = true, failover
		reqs, err := w.requests(pod{"lost", "a", set.names(0, 1)})
		if err != nil {
			return err
		}
		if err := w.aws.inject(ctx, f); err != nil {
			return err
		}
		return w.withProvider(ctx, func(p *provider) error {
			ctx, cancel := context.WithTimeout(ctx, kubeletPatience)
			defer cancel()
			_, took, err := p.mount(ctx, reqs[0])
			m = judge(took, err)
			return nil
		})
	}, set)
	return m, err
}

// mustMount is m of a mount that had to succeed.
func (m measurement) mustMount(took time.Duration, err error) measurement {
	m.Value = millis(took)
	if err != nil {
		m.Fault = "it failed: " + err.Error()
	}
	return m
}

// notFinal are the codes after which the kubelet takes a volume for perhaps mounted (rule D26).
var notFinal = map[codes.Code]bool{
	codes.Canceled: true, codes.DeadlineExceeded: true, codes.Unavailable: true, codes.ResourceExhausted: true, codes.Aborted: true,
}

// mustFail is m of a mount that had to fail, with a final code and with the cause in its message.
func (m measurement) mustFail(took time.Duration, err error, cause string) measurement {
	m.Value = millis(took)
	s := status.Convert(err)
	switch {
	case err == nil:
		m.Fault = "it succeeded"
	case notFinal[s.Code()]:
		m.Fault = fmt.Sprintf("the code %s is not final", s.Code())
	case !strings.Contains(s.Message(), cause):
		m.Fault = "the cause is missing in: " + s.Message()
	default:
		m.Note = fmt.Sprintf("%s: %s", s.Code(), s.Message())
	}
	return m
}
