package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/status"

	"secrets-provider-aws/test/awssim"
)

// outageInterval is the provider's --refresh-interval in the scenario outage. It is long enough for a republish within it, and
// short enough to wait for one after it.
const outageInterval = 8 * time.Second

// measureOutage makes AWS fail on a node that runs one pod.
func measureOutage(ctx context.Context, l *lab) ([]measurement, error) {
	set := secretSet{Prefix: "outage", Count: 3, Bytes: smallSecret}
	var out []measurement
	err := l.inWorld(ctx, awsDelay, func(w *world) error {
		reqs, err := w.requests(
			pod{"known", "a", set.names(0, 3)}, pod{"new", "a", set.names(0, 3)}, pod{"unseen", "b", set.names(0, 3)},
		)
		if err != nil {
			return err
		}
		return w.withProvider(ctx, func(p *provider) error {
			ctx, cancel := context.WithTimeout(ctx, kubeletTimeout)
			defer cancel()
			if _, _, err := p.mount(ctx, reqs[0]); err != nil {
				return err
			}
			mounted := time.Now()
			time.Sleep(1100 * time.Millisecond) // a first mount may share a read of the last second
			if err := w.aws.inject(ctx, awssim.Fault{Status: 503}); err != nil {
				return err
			}
			republished := measurement{What: "known pod republished", Unit: "ms", Note: "outage: within --refresh-interval, " + outageInterval.String() + " here"}
			_, took, err := p.mount(ctx, reqs[0])
			out = append(out, republished.mustMount(took, err))
			started := measurement{What: "new pod mounted", Unit: "ms", Note: "the provider calls AWS first, with retries, then serves the last known values"}
			_, took, err = p.mount(ctx, reqs[1])
			out = append(out, started.mustMount(took, err))
			refused := measurement{What: "new identity refused", Unit: "ms"}
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

// measureBlackHole makes AWS accept calls without responding: first in all regions, then only in the primary region with its STS,
// with a failover region in the class.
func measureBlackHole(ctx context.Context, l *lab) ([]measurement, error) {
	refused, err := intoBlackHole(ctx, l, awssim.Fault{Hang: true}, false,
		func(took time.Duration, err error) measurement {
			return measurement{What: "response", Unit: "ms"}.mustFail(took, err, "")
		})
	mounted, other := intoBlackHole(ctx, l, awssim.Fault{Hang: true, Region: region}, true,
		measurement{What: "with failover region", Unit: "ms", Note: "the primary region's STS gets 1 s, its reads 5 s"}.mustMount)
	return []measurement{refused, mounted}, errors.Join(err, other)
}

// intoBlackHole mounts one secret for the first time while AWS fails.
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
			ctx, cancel := context.WithTimeout(ctx, kubeletTimeout)
			defer cancel()
			_, took, err := p.mount(ctx, reqs[0])
			m = judge(took, err)
			return nil
		})
	}, set)
	return m, err
}

// mustMount sets m's value, and a fault if the mount failed.
func (m measurement) mustMount(took time.Duration, err error) measurement {
	m.Value = millis(took)
	if err != nil {
		m.Fault = "it failed: " + err.Error()
	}
	return m
}

// mustFail sets m's value, and a fault unless the mount failed with a final code and the cause in its message.
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
