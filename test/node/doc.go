// Package node brings up a real Kubernetes of one node for the end-to-end tests: etcd, the control plane, a kubelet with
// containerd and runc, and the real Secrets Store CSI driver as a DaemonSet.
//
// The node lives in a mount and a network namespace of its own, the box. In the box every program finds its files where they
// stand on a production node (/var/lib/kubelet, /run/containerd, the API server on port 443), so that charts and manifests are
// installed as they are, with no path changed. To the host all of this is one folder: what the host itself gets to see is that folder, one
// cgroup and one virtual link, and every process of the node, the pods' included, is a member of the cgroup.
// [Down] therefore needs no record of what happened: it kills what is in the cgroup, upon which the kernel takes the
// namespaces apart with all their mounts, addresses and routes, and removes the cgroup and the folder.
//
// Programs are built from Go modules once ([Build]) and kept in the user's cache. containerd, runc, the CNI plugins and busybox come from
// Debian packages, which are installed when missing.
//
// A test writes:
//
//	n, err := node.Up(ctx, node.Config{Logf: t.Logf})
//	...
//	defer n.Down(context.Background())
//	err = n.Apply(ctx, manifests)
//	err = n.WaitPodReady(ctx, "default", "app")
//	out, err := n.Exec(ctx, "default", "app", "cat", "/mnt/secrets/password")
package node
