package doctor

import (
	"context"
	"path"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// daemonSet has the fields of a DaemonSet that say which program it runs with which folder.
type daemonSet struct {
	Metadata struct{ Namespace, Name string }
	Spec     struct{ Template struct{ Spec podSpec } }
}

type podSpec struct {
	Containers []container
	Volumes    []struct {
		Name     string
		HostPath *struct{ Path string }
	}
}

type container struct {
	Name, Image  string
	Args         []string
	VolumeMounts []struct{ Name, MountPath string }
}

// program is a driver or a provider that a DaemonSet runs.
type program struct {
	name    string   // of the DaemonSet, namespace/name
	image   string   // without its registry
	folders []string // on the nodes, of provider sockets
}

// providers checks that one AWS provider runs, and that the driver looks for sockets where the provider puts its own.
func (d *doctor) providers(ctx context.Context) []Check {
	const name = "daemonsets"
	if d.cluster == nil {
		return nil
	}
	var list struct{ Items []daemonSet }
	switch err := d.cluster.get(ctx, "/apis/apps/v1/daemonsets", &list); {
	case apierrors.IsForbidden(err):
		return []Check{{name, NotChecked, "needs list on daemonsets", d.adminCure("")}}
	case err != nil:
		return []Check{{name, NotChecked, "the DaemonSets cannot be read: " + apiReason(err), ""}}
	}
	var drivers, providers []program
	for _, set := range list.Items {
		for _, c := range set.Spec.Template.Spec.Containers {
			p := program{set.Metadata.Namespace + "/" + set.Metadata.Name, path.Base(c.Image), set.Spec.Template.Spec.folders(c)}
			switch {
			case isDriver(c):
				drivers = append(drivers, p)
			case isProvider(c):
				providers = append(providers, p)
			}
		}
	}
	checks := []Check{onlyOne(providers)}
	switch {
	case len(drivers) == 0:
		checks = append(checks, Check{"driver-daemonset", Warning, "no DaemonSet runs the Secrets Store CSI driver under a name that doctor knows", driverPods})
	case len(providers) > 0:
		checks = append(checks, sameFolder(drivers[0], providers))
	}
	return checks
}

func isDriver(c container) bool {
	return strings.Contains(c.Image, "csi-secrets-store/driver") || c.Name == "secrets-store" && strings.Contains(c.Image, "driver")
}

// isProvider recognises this provider and AWS's own, also in a copy of their images.
func isProvider(c container) bool {
	image := path.Base(c.Image)
	return strings.HasPrefix(image, "secrets-provider-aws") || strings.HasPrefix(image, "secrets-store-csi-driver-provider-aws")
}

func onlyOne(providers []program) Check {
	const name = "daemonsets"
	var names []string
	for _, p := range providers {
		names = append(names, p.name+" ("+p.image+")")
	}
	switch len(providers) {
	case 0:
		return Check{name, Warning, "no DaemonSet runs an AWS provider under a name that doctor knows", providerPods}
	case 1:
		return Check{name, OK, "one AWS provider: " + names[0], ""}
	}
	return Check{
		name, Failure, "two providers: " + strings.Join(names, " and ") + ": on a node with both, the one that started last gets the requests",
		"remove one: kubectl delete daemonset or helm uninstall",
	}
}

// sameFolder compares the driver's folders with those of the providers.
func sameFolder(driver program, providers []program) Check {
	const name = "socket-folder"
	at := map[string]bool{}
	for _, folder := range driver.folders {
		at[folder] = true
	}
	for _, p := range providers {
		for _, folder := range p.folders {
			if !at[folder] {
				return Check{
					name, Failure, "the provider " + p.name + " puts its socket into " + folder + ", and the driver " + driver.name + " looks in " + strings.Join(driver.folders, ", ") + ", so it does not find the provider",
					"set providerVolume in the provider's chart to the folder of the driver",
				}
			}
		}
	}
	return Check{name, OK, "the driver (" + driver.image + ") and the provider use the same folder " + strings.Join(providers[0].folders, ", "), ""}
}

// folders are the folders on the node in which the container has, or looks for, the sockets of providers.
func (p podSpec) folders(c container) []string {
	const fallback = "/var/run/secrets-store-csi-providers"
	inside := []string{}
	for _, arg := range c.Args {
		flag, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch {
		case value == "":
		case flag == "provider-volume" || flag == "additional-provider-volume-paths":
			inside = append(inside, strings.Split(value, ",")...)
		}
	}
	if len(inside) == 0 {
		inside = []string{fallback}
	}
	var onNode []string
	for _, folder := range inside {
		onNode = append(onNode, p.onNode(c, strings.TrimRight(folder, "/")))
	}
	return onNode
}

// onNode turns a path in the container into the path on the node.
func (p podSpec) onNode(c container, folder string) string {
	for _, mount := range c.VolumeMounts {
		for _, volume := range p.Volumes {
			if mount.MountPath == folder && volume.Name == mount.Name && volume.HostPath != nil {
				folder = strings.TrimRight(volume.HostPath.Path, "/")
			}
		}
	}
	if rest, ok := strings.CutPrefix(folder, "/var/run/"); ok { // a link to /run on every node
		return "/run/" + rest
	}
	return folder
}
