package awsapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"secrets-provider-aws/provider/awsapi"
)

// gate is an AWS that holds every call until it is opened, and knows how many it held at a time.
type gate struct {
	*httptest.Server
	arrived chan struct{}
	open    chan struct{}

	mu        sync.Mutex
	now, most int
}

func newGate(t *testing.T, status int) *gate {
	t.Helper()
	g := &gate{arrived: make(chan struct{}, 1000), open: make(chan struct{})}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		g.count(1)
		defer g.count(-1)
		g.arrived <- struct{}{}
		<-g.open
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"SecretString":"v","VersionId":"1"}`))
	}))
	t.Cleanup(g.Close)
	return g
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
	g := newGate(t, http.StatusOK)
	setenv(t, map[string]string{"AWS_ENDPOINT_URL": g.URL})
	cfg := load(t, awsapi.Options{MaxCalls: bound, MaxAttempts: 1})
	// Two clients, in two regions: the bound is the process's.
	clients := []*secretsmanager.Client{}
	for _, r := range []string{region, "eu-west-1"} {
		clients = append(clients, secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.Region, o.Credentials = r, pod }))
	}
	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() {
			if _, err := clients[i%2].GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")}); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	for range bound {
		<-g.arrived // all that may run do run …
	}
	close(g.open)
	all.Wait()
	if got := g.highest(); got != bound { // … and no more of them ever did
		t.Errorf("%d calls at a time, want %d", got, bound)
	}
}

// Who waits for a place gives up with its context, and leaves the place to others.
func TestDesign_WaitingForAPlaceEndsWithTheContext(t *testing.T) {
	g := newGate(t, http.StatusOK)
	setenv(t, map[string]string{"AWS_ENDPOINT_URL": g.URL})
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
	close(g.open)
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
	if r.In("eu-west-1") != r.In("eu-west-1") {
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
