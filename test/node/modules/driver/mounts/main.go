// Command mounts has a provider mount volumes through the driver's own client library, over and over, as a stream
// of pods that start: for the hand-over test of test/chaos.
//
// It reads a Config as one line of JSON, and mounts until its input ends. For each further line it writes "ok" once
// every worker has mounted since. In the end it writes a Result as one line of JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	secretsstore "sigs.k8s.io/secrets-store-csi-driver/pkg/secrets-store"
)

// Config says what to mount.
type Config struct {
	Volume   string        // the directory of the providers' sockets
	Requests []Request     // each is mounted by a worker of its own
	Timeout  time.Duration // that the kubelet waits for a mount
	Long     time.Duration // a mount that takes more has waited
}

// Request is what the driver hands to the provider (MountContent in provider_client.go).
type Request struct {
	Attributes, Secrets, TargetPath, Permission string
}

// Result counts.
type Result struct {
	Mounts, Failed, Waited int
	Longest                time.Duration
	Errors                 []string // the first ones
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mounts:", err)
		os.Exit(1)
	}
}

func run() error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var cfg Config
	if err := json.Unmarshal(line, &cfg); err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	s := stream{Config: cfg, clients: secretsstore.NewPluginClientBuilder([]string{cfg.Volume}), each: make([]int, len(cfg.Requests))}
	s.grown = sync.NewCond(&s.mu)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var workers sync.WaitGroup
	for i := range cfg.Requests {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for ctx.Err() == nil {
				s.mount(i)
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}
	for {
		if _, err := in.ReadBytes('\n'); err != nil {
			break // the end of the input
		}
		s.awaitEach()
		fmt.Println("ok")
	}
	stop()
	workers.Wait()
	return json.NewEncoder(os.Stdout).Encode(s.result)
}

type stream struct {
	Config
	clients *secretsstore.PluginClientBuilder

	mu     sync.Mutex
	grown  *sync.Cond // each or result has changed
	each   []int      // mounts that a worker has begun and ended
	result Result
}

// mount mounts one volume as the driver's NodePublishVolume does.
func (s *stream) mount(i int) {
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	defer cancel()
	began := time.Now()
	err := s.publish(ctx, s.Requests[i])
	took := time.Since(began)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.each[i]++
	s.result.Mounts++
	s.result.Longest = max(s.result.Longest, took)
	if took > s.Long {
		s.result.Waited++
	}
	if err != nil {
		s.result.Failed++
		if len(s.result.Errors) < 10 {
			s.result.Errors = append(s.result.Errors, err.Error())
		}
	}
	s.grown.Broadcast()
}

func (s *stream) publish(ctx context.Context, r Request) error {
	client, err := s.clients.Get(ctx, "aws")
	if err != nil {
		return err
	}
	_, _, err = secretsstore.MountContent(ctx, client, r.Attributes, r.Secrets, r.TargetPath, r.Permission, nil)
	return err
}

// awaitEach waits until every worker has begun a mount from now on and ended it.
func (s *stream) awaitEach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, before := range append([]int(nil), s.each...) {
		for s.each[i] < before+2 {
			s.grown.Wait()
		}
	}
}
