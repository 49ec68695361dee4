package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/mountlog"
	"secrets-provider-aws/internal/podevents"
	"secrets-provider-aws/internal/tracing"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/server"
)

// gcPercent lets the heap grow a little more than Go's default of 100 before a collection. An idle provider has a heap
// of 5 MiB, so the default would collect after every five mounts. GOMEMLIMIT still limits the memory.
const gcPercent = 125

// serve builds the server and serves on the socket until ctx ends.
func serve(ctx context.Context, o options, logs io.Writer) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if err := forbidCoreDumps(); err != nil { // before there is a token or a value in memory
		return err
	}
	o.withMemory(limitMemory("/sys/fs/cgroup"))
	log := newLogger(o, logs)
	klog.SetSlogLogger(log) // client-go logs to the same handler
	api, err := apiConfig(o)
	if err != nil {
		return err
	}
	kubernetes, err := metadata.NewForConfig(api) // annotations of ServiceAccounts and labels of nodes
	if err != nil {
		return err
	}
	tracer, err := tracing.New(ctx, tracing.Options{
		Service: server.RuntimeName, Version: version, NodeName: o.nodeName, ObjectNames: o.traceObjectNames, Log: log,
	})
	if err != nil {
		return err
	}
	defer closeTracer(tracer, log) //nolint:contextcheck // ctx has ended by then
	requests := awsclient.NewMetrics()
	cfg, err := awsclient.Load(ctx, awsclient.Options{Version: version, EKSAddonVersion: o.eksAddonVersion, Metrics: requests, Trace: tracer != nil, Log: log})
	if err != nil {
		return err
	}
	authenticator, err := auth.New(auth.Config{AWS: cfg, Kubernetes: kubernetes, NodeName: o.nodeName, Agent: auth.Agent{Timeout: o.agentTimeout}, Log: log})
	if err != nil {
		return err
	}
	fetcher, err := provider.New(provider.Config{
		AWS: cfg, Log: log, RefreshInterval: o.refreshInterval, MaxStale: o.maxStale,
		CacheMaxBytes: o.cacheMaxBytes, BatchSecrets: o.batchSecrets,
	})
	if err != nil {
		return err
	}
	events, err := podEvents(o, api, log)
	if err != nil {
		return err
	}
	s, err := server.New(server.Config{
		Auth: authenticator, Fetcher: fetcher, Log: log, Events: events, Tracer: tracer,
		Version: version, Region: cfg.Region, MountTimeout: o.mountTimeout, MaxResponse: o.maxResponseBytes,
		InFlight: int64(o.inFlightMaxBytes),
	})
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(s, authenticator, fetcher, requests, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		server.SocketUp(filepath.Join(o.providerVolume, server.SocketName))) //nolint:contextcheck // a scrape has no context
	if events != nil {
		registry.MustRegister(events)
		running, stop := context.WithCancel(ctx)
		var writing sync.WaitGroup
		writing.Go(func() { events.Run(running) })
		defer writing.Wait()
		defer stop()
	}
	return listen(ctx, o, s, registry, log)
}

// closeTracer exports the last traces.
func closeTracer(tracer *tracing.Tracer, log *slog.Logger) {
	if err := tracer.Close(); err != nil {
		log.Warn("the last traces are lost", "error", err)
	}
}

// listen serves on the socket and the admin port. If one of them fails, it stops the other, so that Kubernetes
// restarts the provider. The admin port serves until the last mount is done.
func listen(ctx context.Context, o options, s *server.Server, metrics prometheus.Gatherer, log *slog.Logger) error {
	group, ctx := errgroup.WithContext(ctx)
	drained, finish := context.WithCancel(context.WithoutCancel(ctx))
	defer finish()
	if o.adminAddress != "" {
		admin, err := new(net.ListenConfig).Listen(ctx, "tcp", o.adminAddress)
		if err != nil {
			return fmt.Errorf("listen on --admin-address: %w", err)
		}
		group.Go(func() error {
			return server.ServeAdmin(drained, admin, filepath.Join(o.providerVolume, server.SocketName), ctx.Done(), metrics)
		})
		log.Info("admin port", "address", admin.Addr().String())
	}
	socket, err := server.Listen(o.providerVolume)
	if err != nil {
		return err
	}
	group.Go(func() error {
		defer finish()
		return s.Serve(ctx, socket)
	})
	log.Info("serving", "socket", socket.Path(), "version", version)
	debug.FreeOSMemory() // return the memory that startup needed
	err = group.Wait()
	log.Info("stopped")
	return err
}

func newLogger(o options, w io.Writer) *slog.Logger {
	h := &slog.HandlerOptions{Level: slog.LevelInfo}
	if o.verbosity >= 4 {
		h.Level = slog.LevelDebug
	}
	if o.logFormat == "json" {
		return slog.New(mountlog.Handler{Handler: slog.NewJSONHandler(w, h)})
	}
	return slog.New(mountlog.Handler{Handler: slog.NewTextHandler(w, h)})
}

// podEvents returns the writer of Events, nil without --events.
func podEvents(o options, api *rest.Config, log *slog.Logger) (*podevents.Recorder, error) {
	if !o.events {
		return nil, nil
	}
	node := o.nodeName
	if node == "" {
		var err error
		if node, err = os.Hostname(); err != nil {
			return nil, err
		}
	}
	return podevents.New(podevents.Config{REST: api, Instance: node, Log: log})
}

// apiConfig says how the provider calls the Kubernetes API server.
func apiConfig(o options) (*rest.Config, error) {
	cfg, err := restConfig(o.kubeconfig)
	if err != nil {
		return nil, err
	}
	cfg.QPS, cfg.Burst = float32(o.qps), o.burst
	cfg.Timeout = 10 * time.Second
	cfg.UserAgent = server.RuntimeName + "/" + version
	return cfg, nil
}

func restConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig != "" {
		cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("read --kubeconfig: %w", err)
		}
		return cfg, nil
	}
	cfg, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("find the Kubernetes API: %w (outside a cluster, set --kubeconfig)", err)
	}
	return cfg, nil
}
