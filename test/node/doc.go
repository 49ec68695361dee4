// Package node runs a real one-node Kubernetes for the end-to-end tests: etcd, the control plane, a kubelet with containerd and
// runc, and the real Secrets Store CSI driver as a DaemonSet.
//
// The node runs in its own mount and network namespaces, the box. In the box, every path is that of a production node
// (/var/lib/kubelet, /run/containerd, the API server on port 443). Charts and manifests are installed unchanged. The host sees one
// folder, one cgroup and one virtual link. Every process of the node and its pods is a member of the cgroup.
// [Down] therefore needs no record of what happened. It kills all members of the cgroup, and the kernel removes the namespaces with
// their mounts, addresses and routes. Then it removes the cgroup and the folder.
//
// [Build] builds the programs from Go modules once and keeps them in the user's cache. containerd, runc, the CNI plugins and busybox
// come from Debian packages. [Build] installs missing packages.
//
// A test uses it like this:
//
//	n, err := node.Up(ctx, node.Config{Logf: t.Logf})
//	...
//	defer n.Down(context.Background())
//	err = n.Apply(ctx, manifests)
//	err = n.WaitPodReady(ctx, "default", "app")
//	out, err := n.Exec(ctx, "default", "app", "cat", "/mnt/secrets/password")
package node
