package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
)

// rotationTimeout covers the refresh interval of 1 s, its jitter, and the eventual consistency of Secrets Manager.
const rotationTimeout = 30 * time.Second

// cases runs all cases, and reports every one that fails.
func (t *tester) cases(ctx context.Context) error {
	type testCase struct {
		name string
		run  func(context.Context) error
	}
	secret := func(name string) string {
		return fmt.Sprintf("- {objectName: %s, objectType: secretsmanager, objectAlias: db}\n", name)
	}
	running := t.volume(secret(t.db)) // a pod that runs during the rotation
	before, after := map[string]string{"db": t.json(0)}, map[string]string{"db": t.json(1)}
	files := func(objects string, want map[string]string) func(context.Context) error {
		return func(ctx context.Context) error {
			got, err := t.mount(ctx, t.volume(objects))
			return errors.Join(err, wantOrNothing(err, got, want))
		}
	}
	fails := func(name string, code codes.Code, texts ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := t.mount(ctx, t.volume(secret(name)))
			return wantError(err, code, append(texts, name)...)
		}
	}
	all := []testCase{
		{"a secret, a key of it, and parameters", files(fmt.Sprintf(`
- objectName: %s
  objectType: secretsmanager
  objectAlias: db
  jmesPath: [{path: password, objectAlias: password}]
- {objectName: %s, objectType: ssmparameter, objectAlias: url}
- {objectName: %s, objectType: ssmparameter, objectAlias: key}
`, t.db, t.url, t.key), map[string]string{"db": t.json(0), "password": t.passwords[0], "url": "https://example.com", "key": t.passwords[0]})},
		{"a running pod", func(ctx context.Context) error {
			got, err := t.mount(ctx, running)
			return errors.Join(err, wantOrNothing(err, got, before))
		}},
		{"a secret that does not exist", fails(t.missing, codes.NotFound, "ResourceNotFoundException", t.region)},
		{"a secret that the role may not read", fails(t.denied, codes.PermissionDenied, "AccessDeniedException", "request id")},
		{"rotation: a new pod", func(ctx context.Context) error {
			if err := t.account.rotate(ctx, t.plan); err != nil {
				return err
			}
			return t.until(ctx, func() error { return files(secret(t.db), after)(ctx) })
		}},
		{"rotation: the running pod", func(ctx context.Context) error {
			return t.until(ctx, func() error {
				got, err := t.mount(ctx, running)
				return errors.Join(err, wantOrNothing(err, got, after))
			})
		}},
		{"the previous version", files(fmt.Sprintf("- {objectName: %s, objectType: secretsmanager, objectAlias: db, objectVersionLabel: AWSPREVIOUS}\n", t.db), before)},
	}
	if t.identity.stsURL == "" {
		all = append(all, testCase{"a role that does not exist", func(ctx context.Context) error {
			v := t.volume(secret(t.db))
			v.Parameters["roleArn"] += "-missing-" + random()
			_, err := t.mount(ctx, v)
			return wantError(err, codes.Unauthenticated, v.Parameters["roleArn"])
		}})
	}
	var failed []error
	for _, c := range all {
		started := time.Now()
		if err := c.run(ctx); err != nil {
			fmt.Fprintf(t.out, "FAILED  %s: %v\n", c.name, err)
			failed = append(failed, fmt.Errorf("%s: %w", c.name, err))
			continue
		}
		fmt.Fprintf(t.out, "ok      %s (%s)\n", c.name, time.Since(started).Round(time.Millisecond))
	}
	return errors.Join(failed...)
}

func wantOrNothing(err error, got, want map[string]string) error {
	if err != nil {
		return nil //nolint:nilerr // the caller reports it
	}
	return wantFiles(got, want)
}

// until repeats a check until it succeeds or rotationTimeout ends.
func (t *tester) until(ctx context.Context, check func() error) error {
	deadline := time.Now().Add(rotationTimeout)
	for {
		err := check()
		if err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}
