// Command registrar registers a CSI driver with the kubelet, as kubernetes-csi/node-driver-registrar does
// and with its flags. The upstream one is no importable Go module: its v2 tags carry no /v2 import path.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

func main() {
	driver := flag.String("csi-address", "/csi/csi.sock", "the driver's socket, as this process sees it")
	endpoint := flag.String("kubelet-registration-path", "", "the driver's socket, as the kubelet sees it")
	dir := flag.String("plugin-registration-path", "/registration", "the kubelet's plugins_registry, as this process sees it")
	flag.Int("v", 0, "the level of the log, without effect")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *driver, *endpoint, *dir); err != nil {
		log.Print(err)
		os.Exit(1)
	}
}

// run serves the registration until ctx ends or the kubelet refuses it.
func run(ctx context.Context, driver, endpoint, dir string) error {
	name, err := driverName(ctx, driver)
	if err != nil {
		return err
	}
	socket := filepath.Join(dir, name+"-reg.sock")
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	s := &server{name: name, endpoint: endpoint, refused: make(chan string, 1)}
	g := grpc.NewServer()
	registration.RegisterRegistrationServer(g, s)
	failed := make(chan error, 1)
	go func() { failed <- g.Serve(listener) }()
	defer g.Stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	case reason := <-s.refused:
		// The kubelet does not come back soon after a failure. A restarted registrar makes it try again.
		return &refusal{reason}
	}
}

// driverName asks the driver for its name, and so waits until the driver serves:
// the kubelet calls the driver at once after the registration, and only once.
func driverName(ctx context.Context, socket string) (string, error) {
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1, MaxDelay: 100 * time.Millisecond}}))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	info, err := csi.NewIdentityClient(conn).GetPluginInfo(ctx, &csi.GetPluginInfoRequest{})
	if err != nil {
		return "", err
	}
	return info.GetName(), nil
}

type refusal struct{ reason string }

func (r *refusal) Error() string { return "the kubelet refused the registration: " + r.reason }

type server struct {
	registration.UnimplementedRegistrationServer
	name, endpoint string
	refused        chan string
}

func (s *server) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: s.name, Endpoint: s.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (s *server) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	log.Printf("registered=%t error=%q", status.PluginRegistered, status.Error)
	if !status.PluginRegistered {
		s.refused <- status.Error
	}
	return &registration.RegistrationStatusResponse{}, nil
}
