package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// driverName is the name of the Secrets Store CSI driver.
const driverName = "secrets-store.csi.k8s.io"

const driverPods = "kubectl get pods -A -o wide | grep secrets-store"

// driver checks the registration of the CSI driver on the node and its CSIDriver object.
func (d *doctor) driver(ctx context.Context) []Check {
	return append([]Check{d.registration(ctx)}, d.csiDriver(ctx)...)
}

// registration checks that the kubelet of this node knows the driver: by its CSINode or by the registration socket.
func (d *doctor) registration(ctx context.Context) Check {
	const name = "driver"
	node := "this node"
	if d.NodeName != "" {
		node = "node " + d.NodeName
	}
	missing := Check{
		name, Failure, "the Secrets Store CSI driver is not registered on " + node + ", so pods there wait in ContainerCreating",
		"install it, or see why its pod does not run on this node: " + driverPods,
	}
	if d.KubeletDir != "" {
		socket := filepath.Join(d.KubeletDir, "plugins_registry", driverName+"-reg.sock")
		switch _, err := os.Stat(socket); {
		case err == nil:
			return Check{name, OK, "registered with the kubelet: " + socket, ""}
		case errors.Is(err, fs.ErrNotExist) && d.cluster == nil:
			return missing
		}
	}
	switch {
	case d.cluster == nil:
		return Check{name, NotChecked, "needs the Kubernetes API or --kubelet-dir", ""}
	case d.NodeName == "" || !validName(d.NodeName):
		return Check{name, NotChecked, "the name of the node is not known", "set --node-name"}
	}
	var registered struct {
		Spec struct{ Drivers []struct{ Name string } }
	}
	err := d.cluster.get(ctx, "/apis/storage.k8s.io/v1/csinodes/"+d.NodeName, &registered)
	switch {
	case apierrors.IsForbidden(err):
		return Check{name, NotChecked, "needs get on csinodes", d.adminCure("rbac.readDriver=true")}
	case err != nil && !apierrors.IsNotFound(err):
		return Check{name, NotChecked, "the CSINode cannot be read: " + apiReason(err), ""}
	}
	for _, driver := range registered.Spec.Drivers {
		if driver.Name == driverName {
			return Check{name, OK, "registered on " + node, ""}
		}
	}
	return missing
}

// The audiences of the tokens that the driver must send.
const (
	audienceSTS         = "sts.amazonaws.com"
	audiencePodIdentity = "pods.eks.amazonaws.com"
)

const patchTokens = `kubectl patch csidriver ` + driverName + ` --type merge --patch '{"spec":{"tokenRequests":[{"audience":"sts.amazonaws.com"},{"audience":"pods.eks.amazonaws.com"}]}}', ` +
	`and set tokenRequests in the values of the driver's chart`

// csiDriver checks the settings of the driver that mounts with AWS need.
func (d *doctor) csiDriver(ctx context.Context) []Check {
	const name = "csidriver"
	if d.cluster == nil {
		return nil
	}
	var object struct {
		Spec struct {
			PodInfoOnMount    bool
			RequiresRepublish bool
			TokenRequests     []struct{ Audience string }
		}
	}
	err := d.cluster.get(ctx, "/apis/storage.k8s.io/v1/csidrivers/"+driverName, &object)
	switch {
	case apierrors.IsForbidden(err):
		return []Check{{name, NotChecked, "needs get on csidrivers", d.adminCure("rbac.readDriver=true")}}
	case apierrors.IsNotFound(err):
		return []Check{{
			name, Failure, "the cluster has no CSIDriver " + driverName + ", so no volume can be mounted",
			"install the Secrets Store CSI driver, or upgrade the chart with secrets-store-csi-driver.install=true",
		}}
	case err != nil:
		return []Check{{name, NotChecked, "the CSIDriver cannot be read: " + apiReason(err), ""}}
	}
	var checks []Check
	if object.Spec.PodInfoOnMount {
		checks = append(checks, Check{"pod-info", OK, "podInfoOnMount is true", ""})
	} else {
		checks = append(checks, Check{
			"pod-info", Failure, "podInfoOnMount of CSIDriver " + driverName + " is not true, so the provider does not learn which pod mounts, and every mount fails",
			"kubectl patch csidriver " + driverName + ` --type merge --patch '{"spec":{"podInfoOnMount":true}}'; before Kubernetes 1.29, which refuses this, reinstall the driver's chart`,
		})
	}
	audiences := make([]string, 0, 2)
	for _, request := range object.Spec.TokenRequests {
		audiences = append(audiences, request.Audience)
	}
	checks = append(checks, d.tokens(audiences)...)
	if object.Spec.RequiresRepublish {
		return append(checks, Check{"rotation", OK, "on (requiresRepublish is true): the files of running pods follow AWS", ""})
	}
	return append(checks, Check{"rotation", OK, "off (requiresRepublish is false): running pods keep the files that they started with", ""})
}

// tokens checks that the kubelet sends the tokens that the provider exchanges for credentials.
func (d *doctor) tokens(audiences []string) []Check {
	const name = "token-requests"
	var checks []Check
	if !slices.Contains(audiences, audienceSTS) {
		checks = append(checks, Check{name, Failure, "CSIDriver " + driverName + " has no tokenRequests for " + audienceSTS + ", so every mount with an IAM role fails", patchTokens})
	}
	if !slices.Contains(audiences, audiencePodIdentity) {
		status := Warning
		if d.PodIdentity {
			status = Failure
		}
		checks = append(checks, Check{name, status, "CSIDriver " + driverName + " has no tokenRequests for " + audiencePodIdentity + ", so every mount with usePodIdentity fails", patchTokens})
	}
	if checks == nil {
		checks = []Check{{name, OK, "the kubelet sends tokens for " + strings.Join(audiences, " and "), ""}}
	}
	return checks
}
