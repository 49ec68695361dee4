package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/csidriver"
)

// pod is a pod with one volume.
type pod struct {
	name           string
	serviceAccount string
	secrets        []string
}

// requests returns the driver's mount requests for the pods. Build them before measuring.
func (w *world) requests(pods ...pod) ([]*v1alpha1.MountRequest, error) {
	out := make([]*v1alpha1.MountRequest, len(pods))
	for i, p := range pods {
		token, err := w.serviceAccount(p.serviceAccount)
		if err != nil {
			return nil, err
		}
		var objects strings.Builder
		for _, name := range p.secrets {
			fmt.Fprintf(&objects, "- objectName: %q\n  objectType: secretsmanager\n", name)
		}
		parameters := map[string]string{"region": region, "objects": objects.String()}
		if w.failover {
			parameters["failoverRegion"] = failoverRegion
		}
		out[i], err = csidriver.Volume{
			Namespace: namespace, ServiceAccount: p.serviceAccount, Pod: p.name, PodUID: "uid-of-" + p.name, Class: "bench",
			Parameters: parameters,
			Tokens:     map[string]string{audience: token},
		}.Request()
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mount sends one request and returns how long it took, also for an error.
func (p *provider) mount(ctx context.Context, req *v1alpha1.MountRequest) (*v1alpha1.MountResponse, time.Duration, error) {
	started := time.Now()
	resp, err := p.client.Mount(ctx, req)
	took := time.Since(started)
	if err == nil && len(resp.GetFiles()) == 0 {
		err = fmt.Errorf("the response to %s has no files", req.GetTargetPath())
	}
	return resp, took, err
}

// mountAll sends requests, at most atATime in parallel (0: all at once). It returns the time until the last response.
func (p *provider) mountAll(ctx context.Context, reqs []*v1alpha1.MountRequest, atATime int) (time.Duration, error) {
	if atATime == 0 {
		atATime = len(reqs)
	}
	group, ctx := errgroup.WithContext(ctx)
	next := make(chan *v1alpha1.MountRequest, len(reqs))
	for _, req := range reqs {
		next <- req
	}
	close(next)
	started := time.Now()
	for range atATime {
		group.Go(func() error {
			for req := range next {
				if _, _, err := p.mount(ctx, req); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return time.Since(started), err
}
