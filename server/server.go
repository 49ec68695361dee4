// Package server is the gRPC service that the Secrets Store CSI driver calls when a pod
// mounts a volume: it decodes the request, has auth identify the pod and provider fetch its
// objects, and encodes the files.
package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/provider/class"
)

// RuntimeName is how the provider names itself to the driver.
const RuntimeName = "secrets-provider-aws"

// apiVersion is the version of the provider API (service.proto of the driver).
const apiVersion = "v1alpha1"

// Config is what New needs.
type Config struct {
	Auth    *auth.Authenticator // required
	Fetcher *provider.Fetcher   // required
	Log     *slog.Logger        // required

	Version      string        // of this build, semver; required
	Region       string        // default AWS region; empty: the node's
	MountTimeout time.Duration // most that one mount may take; 0: 60 s
	DrainTimeout time.Duration // most that running mounts may go on once the server is to end; 0: 20 s
	MaxResponse  int           // bytes that the driver takes in one response; 0: 4 MiB, its default
}

// Server implements v1alpha1.CSIDriverProviderServer.
type Server struct {
	v1alpha1.UnimplementedCSIDriverProviderServer
	auth    *auth.Authenticator
	fetcher *provider.Fetcher
	log     *slog.Logger
	metrics *metrics
	parser  parser

	version      string
	region       string
	mountTimeout time.Duration
	drainTimeout time.Duration
	maxResponse  int

	requests atomic.Uint64 // so far; numbers them in the log
}

// New makes a Server, or says what cfg lacks.
func New(cfg Config) (*Server, error) {
	switch {
	case cfg.Auth == nil:
		return nil, errors.New("server: no authenticator")
	case cfg.Fetcher == nil:
		return nil, errors.New("server: no fetcher")
	case cfg.Log == nil:
		return nil, errors.New("server: no logger")
	case cfg.Version == "":
		return nil, errors.New("server: no version")
	case cfg.MountTimeout < 0 || cfg.DrainTimeout < 0 || cfg.MaxResponse < 0:
		return nil, errors.New("server: negative limit")
	}
	s := &Server{
		auth: cfg.Auth, fetcher: cfg.Fetcher, log: cfg.Log, metrics: newMetrics(cfg.Version), parser: newParser(),
		version: cfg.Version, region: cfg.Region,
		mountTimeout: cmp.Or(cfg.MountTimeout, 60*time.Second),
		drainTimeout: cmp.Or(cfg.DrainTimeout, 20*time.Second),
		maxResponse:  cmp.Or(cfg.MaxResponse, 4<<20),
	}
	return s, nil
}

// Version tells the driver what it talks to.
func (s *Server) Version(context.Context, *v1alpha1.VersionRequest) (*v1alpha1.VersionResponse, error) {
	return &v1alpha1.VersionResponse{Version: apiVersion, RuntimeName: RuntimeName, RuntimeVersion: s.version}, nil
}

// Mount gives the whole content of one volume, or none of it. Errors are *fault.Error here; the
// interceptor turns them into gRPC statuses.
func (s *Server) Mount(ctx context.Context, req *v1alpha1.MountRequest) (*v1alpha1.MountResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, budget(ctx, s.mountTimeout, time.Now()))
	defer cancel()
	line := lineOf(ctx)
	volume, err := decode(req)
	line.volume = volume
	if err != nil {
		return nil, err
	}
	s.log.LogAttrs(ctx, slog.LevelDebug, "mount request", slog.String(keyNamespace, volume.pod.Namespace), slog.String(keyPod, volume.pod.Name),
		slog.String(keyServiceAccount, volume.pod.ServiceAccount), slog.String(keyClass, volume.className), slog.Int("tokens", len(volume.tokens)))
	spc, err := s.class(ctx, volume)
	line.class = spc
	if err != nil {
		return nil, err
	}
	identity, token, err := s.auth.Identify(ctx, volume.pod, volume.tokens, auth.IdentityOptions{
		PodIdentity: spc.PodIdentity, RoleARN: spc.RoleARN, AssumeRoleARN: spc.AssumeRoleARN, ExternalID: spc.ExternalID,
	})
	if err != nil {
		return nil, err
	}
	line.identity = identity
	fetched, err := s.fetcher.Fetch(ctx, provider.Request{
		Owner:       provider.Owner(identity.Key()),
		Volume:      volume.key(),
		Class:       spc,
		Credentials: s.auth.Session(identity, token, auth.CredentialOptions{Regions: spc.Regions(), AddressType: spc.AddressType}),
	})
	line.sources = fetched.Sources
	if err != nil {
		return nil, err
	}
	return encode(fetched.Files, volume.mode, s.maxResponse)
}

// class reads the SecretProviderClass, with the node's region where nothing else names one.
// Nothing is asked of AWS before all of it is known to be right.
func (s *Server) class(ctx context.Context, v volume) (class.Class, error) {
	spc, err := s.parser.parse(ctx, v.parameters, s.region)
	if err != nil || spc.Region != "" {
		return spc, err
	}
	region, err := s.auth.NodeRegion(ctx, v.tokens)
	if err != nil {
		return spc, err
	}
	return spc.InRegion(region)
}

// budget is how long a mount may take: always less than the caller waits, so that the caller gets
// an answer with a final code and not a time-out, which the kubelet reads as "maybe mounted".
func budget(ctx context.Context, most time.Duration, now time.Time) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return most
	}
	left := deadline.Sub(now)
	return min(most, left-max(left/10, 100*time.Millisecond))
}

// tooLong says of a mount that ran out of its budget what nothing else said.
func tooLong() error {
	return &fault.Error{Kind: fault.Transient, Why: "the mount took too long", Hint: "the kubelet tries again by itself"}
}

// shuttingDown says of a mount that the server's end cut off that neither AWS nor the caller is to blame.
func shuttingDown() error {
	return &fault.Error{Kind: fault.Transient, Why: "the provider is shutting down", Hint: "the kubelet tries again by itself"}
}
