package awsapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"secrets-provider-aws/provider/awsapi"
)

// gate is an AWS that holds every call until it may leave, and knows how many it held at a time.
type gate struct {
	arrived chan struct{} // one for each call
	leave   chan struct{} // one lets one call go, closed all

	mu        sync.Mutex
	now, most int
}

func newGate() *gate {
	return &gate{arrived: make(chan struct{}, 1000), leave: make(chan struct{})}
}

// listen gives the address of a server behind the gate. One gate can have several.
func (g *gate) listen(t *testing.T) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		g.count(1)
		defer g.count(-1)
		g.arrived <- struct{}{}
		<-g.leave
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = w.Write([]byte(`{"SecretString":"v","VersionId":"1"}`))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func (g *gate) count(by int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += by
	g.most = max(g.most, g.now)
}

func (g *gate) highest() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.most
}

func TestDesign_CallsAtATimeAreBounded(t *testing.T) {
	const bound, calls = 3, 20
	// Two hosts, and clients of two regions: the bound is the process's.
	g := newGate()
	setenv(t, map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": g.listen(t), "AWS_ENDPOINT_URL_SSM": g.listen(t)})
	cfg := load(t, awsapi.Options{MaxCalls: bound, MaxAttempts: 1, AttemptTimeout: time.Minute})
	var all sync.WaitGroup
	for i := range calls {
		cfg := cfg
		cfg.Credentials, cfg.Region = pod, []string{region, "eu-west-1"}[i/2%2]
		all.Go(func() {
			var err error
			if i%2 == 0 {
				_, err = secretsmanager.NewFromConfig(cfg).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
			} else {
				_, err = ssm.NewFromConfig(cfg).GetParameters(t.Context(), &ssm.GetParametersInput{Names: []string{"level"}})
			}
			if err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	for range bound {
		<-g.arrived
	}
	for range calls - bound { // for each that leaves another one comes
		g.leave <- struct{}{}
		<-g.arrived
	}
	close(g.leave)
	all.Wait()
	if got := g.highest(); got != bound {
		t.Errorf("%d calls at a time, want %d", got, bound)
	}
}

// Who waits for a place gives up with its context, and leaves the place to others.
func TestDesign_WaitingForAPlaceEndsWithTheContext(t *testing.T) {
	g := newGate()
	setenv(t, map[string]string{"AWS_ENDPOINT_URL": g.listen(t)})
	cfg := load(t, awsapi.Options{MaxCalls: 1, MaxAttempts: 1})
	client := secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.Credentials = pod })
	get := func(ctx context.Context) error {
		_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
		return err
	}
	first := make(chan error, 1)
	go func() { first <- get(t.Context()) }()
	<-g.arrived

	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() { second <- get(ctx) }()
	cancel()
	if err := <-second; err == nil {
		t.Error("a second call with a cancelled context has succeeded")
	}
	close(g.leave)
	if err := <-first; err != nil {
		t.Errorf("the first call: %v", err)
	}
	if err := get(t.Context()); err != nil {
		t.Errorf("a third call: %v", err)
	}
	if got := g.highest(); got != 1 {
		t.Errorf("%d calls at a time, want 1", got)
	}
}

func TestRegional_OpensEachRegionOnce(t *testing.T) {
	type client struct{ region string }
	opened := map[string]int{}
	r := awsapi.NewRegional(func(region string) *client {
		opened[region]++
		return &client{region}
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for _, name := range []string{"eu-west-1", "eu-west-2"} {
				if got := r.In(name); got.region != name {
					t.Errorf("client of %s, want %s", got.region, name)
				}
			}
		})
	}
	all.Wait()
	if opened["eu-west-1"] != 1 || opened["eu-west-2"] != 1 {
		t.Errorf("opened %v, want each once", opened)
	}
	if one, again := r.In("eu-west-1"), r.In("eu-west-1"); one != again {
		t.Error("two clients of one region")
	}
}

// The region comes from pod authors: whatever they write, the clients kept stay few.
func TestRegional_IsBounded(t *testing.T) {
	opened := 0
	r := awsapi.NewRegional(func(string) *int { opened++; return new(int) })
	name := func(i int) string { return "region-" + string(rune('a'+i%26)) + string(rune('a'+i/26)) }
	for i := range 64 {
		r.In(name(i))
	}
	for i := range 64 {
		r.In(name(i))
	}
	if opened != 64 {
		t.Errorf("64 regions, twice: opened %d clients, want 64", opened)
	}
	r.In(name(64)) // one too many: all are let go
	r.In(name(64))
	r.In(name(0))
	if opened != 66 {
		t.Errorf("opened %d clients, want 66: the old ones must not be kept", opened)
	}
}
