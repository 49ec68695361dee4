package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/server"
)

const providerPods = "kubectl get pods -A -o wide -l app.kubernetes.io/name=secrets-provider-aws"

// sockets checks that a provider responds on the socket, as the driver calls it, and that it is this provider.
func (d *doctor) sockets(ctx context.Context) []Check {
	const name = "socket"
	if d.ProviderVolume == "" {
		return nil
	}
	path := filepath.Join(d.ProviderVolume, server.SocketName)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Check{{
			name, Failure, "there is no " + path + ": the provider does not run on this node, or its --provider-volume is another folder",
			"set providerVolume in the chart to the folder of the driver, by default /var/run/secrets-store-csi-providers, and look at the provider: " + providerPods,
		}}
	case errors.Is(err, fs.ErrPermission):
		return []Check{{name, NotChecked, "only root may look into " + d.ProviderVolume, "run it as root"}}
	case err != nil:
		return []Check{{name, Failure, fault.Foreign(err.Error()), ""}}
	case info.Mode().Type() != fs.ModeSocket:
		return []Check{{name, Failure, path + " is not a socket", "remove it; the provider then makes its socket"}}
	}
	version, owner, err := d.call(ctx, path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return []Check{{name, NotChecked, "only root may connect to " + path, "run it as root"}}
	case err != nil:
		return []Check{{
			name, Failure, "nobody responds on " + path + ": " + noAnswer(err) + ", so every mount on this node waits until it fails",
			"look at the provider's pod and its log: " + providerPods,
		}}
	}
	return []Check{{name, OK, fmt.Sprintf("%s responds: %s %s", path, fault.Foreign(version.GetRuntimeName()), fault.Foreign(version.GetRuntimeVersion())), ""}, d.owner(version, owner)}
}

// hidden is the pid of a process that this process cannot see: it runs in another container.
const hidden = 0

// owner checks who serves the socket. It is the last provider that started.
func (d *doctor) owner(version *v1alpha1.VersionResponse, pid int) Check {
	const name = "socket-owner"
	const cure = "only one may run on a node, remove the other: kubectl get daemonsets -A | grep -i provider"
	who := fault.Foreign(version.GetRuntimeName() + " " + version.GetRuntimeVersion())
	switch {
	case version.GetRuntimeName() != server.RuntimeName:
		return Check{name, Failure, "two providers: another program, " + who + ", serves aws.sock, so this provider gets no request", cure}
	case pid == hidden:
		return Check{name, Warning, "two providers: " + who + " in another pod serves aws.sock, so this pod gets no request; that is right only during an upgrade, when the new pod has taken over", cure}
	case version.GetRuntimeVersion() != d.Version:
		return Check{name, Warning, "version " + fault.Foreign(version.GetRuntimeVersion()) + " serves aws.sock, and this is " + d.Version + "; that is right only during an upgrade", cure}
	}
	return Check{name, OK, "this provider serves aws.sock", ""}
}

// call calls Version as the driver does, and returns who serves: its pid, as far as this process can see it.
func (d *doctor) call(ctx context.Context, path string) (*v1alpha1.VersionResponse, int, error) {
	ctx, cancel := d.limited(ctx)
	defer cancel()
	pid := -1
	raw, err := new(net.Dialer).DialContext(ctx, "unix", path) // grpc's own errors do not say why
	if err != nil {
		return nil, pid, err
	}
	pid = listenerOf(raw)
	_ = raw.Close()
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		return nil, pid, err
	}
	defer func() { _ = conn.Close() }() // nothing was written that could be lost
	version, err := v1alpha1.NewCSIDriverProviderClient(conn).Version(ctx, &v1alpha1.VersionRequest{Version: "v1alpha1"})
	return version, pid, err
}

// noAnswer says in a few words why a call failed.
func noAnswer(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection is refused"
	case status.Code(err) == codes.DeadlineExceeded:
		return fault.Late
	}
	return fault.NoAnswer(err)
}
