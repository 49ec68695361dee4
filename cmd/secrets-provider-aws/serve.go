package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/provider/awsapi"
	"secrets-provider-aws/server"
)

// serve wires the parts together and answers on the socket until ctx ends.
func serve(ctx context.Context, o options, logs io.Writer) error {
	log := newLogger(o, logs)
	klog.SetSlogLogger(log) // client-go's lines go the same way
	kubernetes, err := kubernetesClient(o)
	if err != nil {
		return err
	}
	cfg, err := awsapi.Load(ctx, awsapi.Options{Version: version, EKSAddonVersion: o.eksAddonVersion})
	if err != nil {
		return err
	}
	authenticator, err := auth.New(auth.Config{AWS: cfg, Kubernetes: kubernetes, NodeName: o.nodeName})
	if err != nil {
		return err
	}
	s, err := server.New(server.Config{
		Auth: authenticator, Fetcher: provider.New(cfg), Log: log,
		Version: version, Region: cfg.Region, MountTimeout: o.mountTimeout, MaxResponse: o.maxResponseBytes,
	})
	if err != nil {
		return err
	}
	socket, err := server.Listen(o.providerVolume)
	if err != nil {
		return err
	}
	log.Info("serving", "socket", socket.Path(), "version", version, "region", cfg.Region)
	err = s.Serve(ctx, socket)
	log.Info("stopped")
	return err
}

func newLogger(o options, w io.Writer) *slog.Logger {
	h := &slog.HandlerOptions{Level: slog.LevelInfo}
	if o.verbosity >= 4 {
		h.Level = slog.LevelDebug
	}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, h))
	}
	return slog.New(slog.NewTextHandler(w, h))
}

// kubernetesClient reads the metadata of objects: annotations of ServiceAccounts and labels of nodes.
func kubernetesClient(o options) (metadata.Interface, error) {
	cfg, err := restConfig(o.kubeconfig)
	if err != nil {
		return nil, err
	}
	cfg.QPS, cfg.Burst = float32(o.qps), o.burst
	cfg.Timeout = 10 * time.Second
	cfg.UserAgent = server.RuntimeName + "/" + version
	return metadata.NewForConfig(cfg)
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
		return nil, fmt.Errorf("find the Kubernetes API: %w (outside of a cluster, name a file with --kubeconfig)", err)
	}
	return cfg, nil
}
