package check

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mounts checks how the containers of a pod mount the volumes.
func (ck *checker) mounts(w *workload) {
	taken := map[[2]string]string{}
	for _, v := range w.volumes {
		field := "volume " + plain(v.name)
		if len(v.mounts) == 0 {
			ck.add(Error, w.at(v.csi.key), w.object, field, "is mounted by no container, so the kubelet ignores it and the driver writes neither its files nor its Secrets: add it to the volumeMounts of a container")
		}
		files := filesOf(v.parsed)
		private := slices.DeleteFunc(slices.Clone(files), func(f File) bool { return modeOf(f)&othersRead != 0 })
		for _, m := range v.mounts {
			at := [2]string{m.Container, path.Clean(m.Path)}
			if first, ok := taken[at]; ok && first != v.name {
				ck.add(Error, w.at(v.csi.key), w.object, field, "is mounted at %s in container %s, where volume %s is mounted too", quote(m.Path), plain(m.Container), plain(first))
			}
			taken[at] = v.name
			switch {
			case m.subPathExpr != "":
				ck.add(Note, w.at(v.csi.key), w.object, field, "is mounted with subPathExpr %s: such a file is never updated, so only a new pod gets a rotated value", quote(m.subPathExpr))
			case m.SubPath == "":
			case v.valid && !slices.ContainsFunc(files, m.shows):
				ck.add(Error, w.at(v.csi.key), w.object, field, "is mounted with subPath %s, but the volume has no such file", quote(m.SubPath))
			default:
				ck.add(Note, w.at(v.csi.key), w.object, field, "is mounted with subPath %s: such a file is never updated, so only a new pod gets a rotated value", quote(m.SubPath))
			}
			if v.valid && len(private) > 0 && len(ck.list) < maxFindings {
				ck.access(w, m, field, files, private)
			}
		}
	}
}

// shows reports whether the container sees the file.
func (m mount) shows(f File) bool {
	return m.SubPath == "" || f.covers(m.SubPath) || strings.HasPrefix(f.Path, m.SubPath+"/") || f.Pattern && f.covers(m.SubPath+"/x")
}

// Permission bits. The driver's files belong to root:root, and it does not support fsGroup.
const (
	groupReads fs.FileMode = 0o040
	othersRead fs.FileMode = 0o004
)

func modeOf(f File) fs.FileMode {
	mode, _ := strconv.ParseUint(f.Mode, 8, 32)
	return fs.FileMode(mode)
}

// access checks that a container that does not run as root can read the files it mounts. private are the files that
// others cannot read.
func (ck *checker) access(w *workload, m mount, field string, files, private []File) {
	user := w.userOf(m.container)
	if user.why == "" {
		return
	}
	var locked, unsure []File
	for _, f := range private {
		switch {
		case !m.shows(f):
		case modeOf(f)&groupReads == 0, user.group == notRoot:
			locked = append(locked, f)
		case user.group == unknown:
			unsure = append(unsure, f)
		}
	}
	const owner = "files belong to root:root and fsGroup does not apply"
	if len(locked) > 0 {
		severity, shown := Error, 0
		for _, f := range files {
			if m.shows(f) {
				shown++
			}
		}
		if shown > len(locked) { // perhaps it needs only the others
			severity = Warning
		}
		ck.add(severity, w.at(m.node), w.object, field, "container %s has %s and cannot read %s: "+owner+", so set filePermission \"0444\"", plain(m.Container), user.why, listed(locked))
	}
	if len(unsure) > 0 {
		ck.add(Note, w.at(m.node), w.object, field, "container %s has %s and can read %s only if its group is root: "+owner+", so set runAsGroup: 0 or filePermission \"0444\"", plain(m.Container), user.why, listed(unsure))
	}
}

// listed names the first file with its mode, and the number of the others.
func listed(files []File) string {
	s := fmt.Sprintf("%s (mode %s)", quote(files[0].Path), files[0].Mode)
	if len(files) > 1 {
		s += " and " + count(len(files)-1, "more file")
	}
	return s
}

// user is the user of a container.
type user struct {
	why   string // the setting that makes it another user than root; empty if it may be root
	group membership
}

// membership tells whether a user is in the group root.
type membership int

const (
	unknown membership = iota // the image decides
	inRoot
	notRoot
)

// userOf reads the securityContexts. Those of the container win.
func (w *workload) userOf(c container) user {
	setting := func(name string) *yaml.Node {
		for _, node := range []*yaml.Node{c.node, w.spec} {
			if f := get(node, "securityContext", name); text(f.value) != "" {
				return f.value
			}
		}
		return nil
	}
	var u user
	id, isSet := number(setting("runAsUser"))
	switch {
	case isSet && id != 0:
		u.why = fmt.Sprintf("runAsUser %d", id)
	case !isSet && text(setting("runAsNonRoot")) == "true":
		u.why = "runAsNonRoot"
	}
	group, isSet := number(setting("runAsGroup"))
	groups := append(items(get(w.spec, "securityContext", "supplementalGroups").value), get(w.spec, "securityContext", "fsGroup").value)
	isRoot := func(node *yaml.Node) bool { n, ok := number(node); return ok && n == 0 }
	switch {
	case isSet && group == 0, slices.ContainsFunc(groups, isRoot):
		u.group = inRoot
	case isSet:
		u.group = notRoot
	}
	return u
}

// number is the integer of a scalar.
func number(node *yaml.Node) (n int64, ok bool) {
	return n, text(node) != "" && node.Decode(&n) == nil
}
