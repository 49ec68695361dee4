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
	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/internal/podevents"
	"secrets-provider-aws/internal/tracing"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/provider/class"
)

// RuntimeName is the provider's name in the response to the driver's Version call.
const RuntimeName = "secrets-provider-aws"

// apiVersion is the version of the provider API (service.proto of the driver).
const apiVersion = "v1alpha1"

// Config is the configuration of a Server.
type Config struct {
	Auth    *auth.Authenticator // required
	Fetcher *provider.Fetcher   // required
	Log     *slog.Logger        // required
	Tracer  *tracing.Tracer     // nil: no traces

	Version      string        // of this build, semver; required
	Region       string        // default AWS region; empty: the region of the node
	MountTimeout time.Duration // limit for one mount; 0: 60 s
	DrainTimeout time.Duration // limit for running mounts at shutdown; 0: 20 s
	MaxResponse  int           // bytes that the driver accepts in one response; 0: 4 MiB, the driver's default
	InFlight     int64         // bytes for values and responses of requests in progress; 0: 64 MiB

	Events *podevents.Recorder // of pods whose values are old; nil for none
	Now    func() time.Time    // time.Now where nil
}

// Server implements v1alpha1.CSIDriverProviderServer.
type Server struct {
	v1alpha1.UnimplementedCSIDriverProviderServer
	auth    *auth.Authenticator
	fetcher *provider.Fetcher
	log     *slog.Logger
	now     func() time.Time
	volumes *refreshes
	events  *podevents.Recorder
	tracer  *tracing.Tracer
	metrics *metrics
	memory  memory

	version      string
	region       string
	mountTimeout time.Duration
	drainTimeout time.Duration
	maxResponse  int

	requests atomic.Uint64 // so far; numbers them in the log
}

// New returns a Server, or an error that names the invalid field of cfg.
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
	case cfg.MountTimeout < 0 || cfg.DrainTimeout < 0 || cfg.MaxResponse < 0 || cfg.InFlight < 0:
		return nil, errors.New("server: negative limit")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	budget, volumes := bytebudget.New(cmp.Or(cfg.InFlight, 64<<20)), newRefreshes(cfg.Now)
	s := &Server{
		auth: cfg.Auth, fetcher: cfg.Fetcher, log: cfg.Log, tracer: cfg.Tracer, memory: memory{budget},
		now: cfg.Now, volumes: volumes, events: cfg.Events, metrics: newMetrics(cfg.Version, budget, volumes),
		version: cfg.Version, region: cfg.Region,
		mountTimeout: cmp.Or(cfg.MountTimeout, 60*time.Second),
		drainTimeout: cmp.Or(cfg.DrainTimeout, 20*time.Second),
		maxResponse:  cmp.Or(cfg.MaxResponse, 4<<20),
	}
	return s, nil
}

// Version implements the driver's health check.
func (s *Server) Version(context.Context, *v1alpha1.VersionRequest) (*v1alpha1.VersionResponse, error) {
	return &v1alpha1.VersionResponse{Version: apiVersion, RuntimeName: RuntimeName, RuntimeVersion: s.version}, nil
}

// Mount returns the whole content of one volume or an error. Errors are *fault.Error or context errors; the
// interceptor turns them into gRPC statuses.
func (s *Server) Mount(ctx context.Context, req *v1alpha1.MountRequest) (*v1alpha1.MountResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, budget(ctx, s.mountTimeout, time.Now()))
	defer cancel()
	line := lineOf(ctx)
	volume, err := decode(req)
	line.volume, line.key = volume, volume.id()
	if err != nil {
		return nil, err
	}
	if s.log.Enabled(ctx, slog.LevelDebug) {
		s.log.LogAttrs(ctx, slog.LevelDebug, "mount request", slog.String(keyNamespace, volume.pod.Namespace), slog.String(keyPod, volume.pod.Name),
			slog.String(keyServiceAccount, volume.pod.ServiceAccount), slog.String(keyClass, volume.className), slog.Int("tokens", len(volume.tokens)))
	}
	memory := s.memory.open(ctx, volume)
	if err := memory.Grow(ctx, requestCost(req)); err != nil {
		return nil, fault.NoMemory("cannot read the CSI driver's request", err)
	}
	spc, err := s.class(ctx, volume, memory)
	line.class = spc
	if err != nil {
		return nil, err
	}
	identity, token, err := s.identify(ctx, volume, spc)
	if err != nil {
		return nil, err
	}
	line.identity, line.key = identity, volume.key(token)
	fetched, err := s.fetch(ctx, provider.Request{
		Owner:       provider.Owner(identity.Key()),
		Tenant:      volume.tenant(),
		Volume:      line.key,
		Class:       spc,
		MaxBytes:    s.maxResponse,
		Memory:      memory,
		Credentials: s.auth.Session(identity, token, auth.CredentialOptions{Regions: spc.Regions(), AddressType: spc.AddressType}),
	})
	line.fetched = fetched
	if err != nil {
		return nil, err
	}
	return s.encode(ctx, fetched.Files, volume.mode, memory)
}

// requestCost estimates the memory of a request until it ends: its strings, and the class parsed from them.
func requestCost(req *v1alpha1.MountRequest) int64 {
	return 8 * int64(len(req.GetAttributes())+len(req.GetSecrets()))
}

// parseCost estimates the memory that parsing `objects` needs for each of its bytes: a YAML node takes about 200 bytes
// and can come from two characters.
const parseCost = 128

// class parses the SecretProviderClass. When neither the class nor the provider sets a region, it uses the region
// of the node. It checks everything before the first call to AWS.
func (s *Server) class(ctx context.Context, v volume, memory *bytebudget.Account) (class.Class, error) {
	// Parse refuses a longer text without parsing it.
	cost := parseCost * int64(min(len(v.parameters["objects"]), class.MaxText))
	if err := memory.Grow(ctx, cost); err != nil {
		return class.Class{}, fault.NoMemory("cannot read the SecretProviderClass", err)
	}
	spc, err := class.Parse(v.parameters, s.region)
	memory.Shrink(cost)
	if err != nil || spc.Region != "" {
		return spc, err
	}
	region, err := s.auth.NodeRegion(ctx, v.tokens)
	if err != nil {
		return spc, err
	}
	return spc.InRegion(region)
}

// budget returns how long a mount may take. It is shorter than the caller's deadline, so that the caller gets a
// response with a final code. The kubelet reads DeadlineExceeded as "maybe mounted".
func budget(ctx context.Context, most time.Duration, now time.Time) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return most
	}
	left := deadline.Sub(now)
	return min(most, left-max(left/10, 100*time.Millisecond))
}

// tooLong is the error of a mount that exceeded its budget without another error.
func tooLong() error {
	return &fault.Error{Kind: fault.Transient, Why: "the mount took too long", Hint: "the kubelet retries automatically"}
}

// shuttingDown is the error of a mount that the shutdown cancelled. Neither AWS nor the caller caused it.
func shuttingDown() error {
	return &fault.Error{Kind: fault.Transient, Why: "the provider is shutting down", Hint: "the kubelet retries automatically"}
}
