package main

import (
	"context"
	"time"
)

// measureCold measures the first mount of a new provider, a volume of count secrets.
func measureCold(ctx context.Context, l *lab, count int) ([]measurement, error) {
	set := secretSet{Prefix: "cold", Count: count, Bytes: smallSecret}
	secrets := set.names(0, count)
	var took, floor sample
	err := l.inWorld(ctx, awsDelay, func(w *world) error {
		token, err := w.warmUpAWS(ctx, secrets)
		if err != nil {
			return err
		}
		reqs, err := w.requests(pod{"cold", "cold", secrets})
		if err != nil {
			return err
		}
		for range l.pick(15, 5) {
			bare, err := w.newBare()
			if err != nil {
				return err
			}
			least, err := bare.cold(ctx, token, secrets)
			bare.close()
			if err != nil {
				return err
			}
			floor.add(least)
			err = w.withProvider(ctx, func(p *provider) error {
				_, d, err := p.mount(ctx, reqs[0])
				took.add(d)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	}, set)
	return []measurement{{What: "time", Value: took.median(), Unit: "ms", Floor: floor.median()}}, err
}

// warmUpAWS makes AWS run each operation once, so that fetching keys and making certificates is not part of a measurement. It
// returns a token of a ServiceAccount that nothing else uses.
func (w *world) warmUpAWS(ctx context.Context, secrets []string) (token string, err error) {
	if token, err = w.serviceAccount("warmup"); err != nil {
		return "", err
	}
	for range 3 {
		bare, err := w.newBare()
		if err != nil {
			return "", err
		}
		_, err = bare.cold(ctx, token, secrets)
		bare.close()
		if err != nil {
			return "", err
		}
	}
	return token, nil
}

// measureWarm mounts a second pod of a ServiceAccount. Its 20 secrets are new to the provider.
func measureWarm(ctx context.Context, l *lab) ([]measurement, error) {
	const count = 20
	set := secretSet{Prefix: "warm", Count: 2 * count, Bytes: smallSecret}
	known, fresh := set.names(0, count), set.names(count, count)
	var (
		took, floor sample
		calls       awsCount
	)
	err := l.inWorld(ctx, awsDelay, func(w *world) error {
		token, err := w.warmUpAWS(ctx, known)
		if err != nil {
			return err
		}
		reqs, err := w.requests(pod{"first", "warm", known}, pod{"second", "warm", fresh})
		if err != nil {
			return err
		}
		for range l.pick(15, 5) {
			least, err := w.leastWarm(ctx, token, known, fresh)
			if err != nil {
				return err
			}
			floor.add(least)
			err = w.withProvider(ctx, func(p *provider) error {
				if _, _, err := p.mount(ctx, reqs[0]); err != nil {
					return err
				}
				before, err := w.aws.count(ctx)
				if err != nil {
					return err
				}
				_, d, err := p.mount(ctx, reqs[1])
				if err != nil {
					return err
				}
				took.add(d)
				after, err := w.aws.count(ctx)
				calls.sts = max(calls.sts, after.since(before).sts)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	}, set)
	return []measurement{
		{What: "time", Value: took.median(), Unit: "ms", Floor: floor.median(), Note: "warm: the floor is the reads alone, over open connections"},
		{What: "STS calls", Value: float64(calls.sts)},
	}, err
}

// leastWarm returns how long a bare client takes to read fresh right after it has read known.
func (w *world) leastWarm(ctx context.Context, token string, known, fresh []string) (time.Duration, error) {
	bare, err := w.newBare()
	if err != nil {
		return 0, err
	}
	defer bare.close()
	if _, err := bare.cold(ctx, token, known); err != nil {
		return 0, err
	}
	return bare.read(ctx, fresh)
}
