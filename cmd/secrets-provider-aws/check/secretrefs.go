package check

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/provider/class"
)

// secretRef is a pod's reference to a Kubernetes Secret.
type secretRef struct {
	field    string
	name     *yaml.Node
	keys     []*yaml.Node // empty for the whole Secret
	optional bool
}

// secretRefs are the references of a pod's environment variables and volumes.
func (w *workload) secretRefs() []secretRef {
	var list []secretRef
	add := func(field string, node *yaml.Node, nameField string, keys ...*yaml.Node) {
		if name := get(node, nameField).value; text(name) != "" {
			list = append(list, secretRef{field, name, keys, textAt(node, "optional") == "true"})
		}
	}
	for _, c := range w.containers {
		of := "container " + plain(c.name) + ": "
		for _, env := range items(get(c.node, "env").value) {
			ref := get(env, "valueFrom", "secretKeyRef").value
			add(of+"env "+plain(textAt(env, "name")), ref, "name", get(ref, "key").value)
		}
		for i, from := range items(get(c.node, "envFrom").value) {
			add(fmt.Sprintf("%senvFrom[%d]", of, i), get(from, "secretRef").value, "name")
		}
	}
	for _, v := range items(get(w.spec, "volumes").value) {
		field := "volume " + plain(textAt(v, "name"))
		secret := get(v, "secret").value
		add(field, secret, "secretName", itemKeys(secret)...)
		for _, source := range items(get(v, "projected", "sources").value) {
			secret := get(source, "secret").value
			add(field, secret, "name", itemKeys(secret)...)
		}
	}
	return list
}

// itemKeys are the keys that a volume takes from a Secret.
func itemKeys(secret *yaml.Node) []*yaml.Node {
	var keys []*yaml.Node
	for _, item := range items(get(secret, "items").value) {
		keys = append(keys, get(item, "key").value)
	}
	return keys
}

// synced is a Kubernetes Secret that the driver writes while a pod mounts the class.
type synced struct {
	class *providerClass
	keys  []string
}

// maxWriters limits the classes that write one Secret.
const maxWriters = 100

// syncedSecrets are the Secrets of all classes, with keys as in classOf.
func (ck *checker) syncedSecrets() map[string][]synced {
	secrets := map[string][]synced{}
	for _, c := range ck.classes {
		for _, secret := range items(get(c.node, "spec", "secretObjects").value) {
			s := synced{class: c}
			for _, item := range items(get(secret, "data").value) {
				s.keys = append(s.keys, textAt(item, "key"))
			}
			name := textAt(secret, "secretName")
			for _, key := range []string{c.namespace + "/" + name, name} {
				if len(secrets[key]) < maxWriters {
					secrets[key] = append(secrets[key], s)
				}
			}
		}
	}
	return secrets
}

// secretRefs reports pods that need a Secret, or a key of it, that the driver does not write for them.
func (ck *checker) secretRefs() {
	secrets := ck.syncedSecrets()
	if len(secrets) == 0 {
		return
	}
	mounted := map[*providerClass]bool{} // by any pod
	for _, w := range ck.workloads {
		for _, v := range w.volumes {
			mounted[v.class] = mounted[v.class] || len(v.mounts) > 0
		}
	}
	for _, w := range slices.Concat(ck.workloads, ck.others) {
		ck.secretRefsOf(w, secrets, mounted)
	}
}

func (ck *checker) secretRefsOf(w *workload, secrets map[string][]synced, mounted map[*providerClass]bool) {
	volumes := map[*providerClass]*volume{} // one that a container mounts, if there is one
	for i, v := range w.volumes {
		if volumes[v.class] == nil || len(v.mounts) > 0 {
			volumes[v.class] = &w.volumes[i]
		}
	}
	notWritten := func(s synced) bool { v := volumes[s.class]; return v == nil || len(v.mounts) == 0 }
	reported := map[string]bool{}
	for _, ref := range w.secretRefs() {
		name := text(ref.name)
		writers := secrets[name]
		if w.namespace != "" {
			writers = slices.Concat(secrets[w.namespace+"/"+name], secrets["/"+name])
		}
		if len(writers) == 0 || reported[name] || len(ck.list) == maxFindings {
			continue
		}
		severity := Error
		if ref.optional {
			severity = Warning
		}
		first := writers[0].class
		if writers = slices.DeleteFunc(slices.Clone(writers), notWritten); len(writers) > 0 {
			ck.secretKeys(w, ref, severity, writers)
			continue
		}
		reported[name] = true
		switch {
		case volumes[first] != nil:
			ck.add(severity, w.at(ref.name), w.object, ref.field, "the driver writes Secret %s only while a container mounts SecretProviderClass %s: mount volume %s in a container", quote(name), first.ref(), plain(volumes[first].name))
		case mounted[first]:
			ck.add(Warning, w.at(ref.name), w.object, ref.field, "Secret %s exists only while other pods mount SecretProviderClass %s: add a volume of this class to this pod too, and mount it in a container", quote(name), first.ref())
		default:
			ck.add(severity, w.at(ref.name), w.object, ref.field, "the driver writes Secret %s only while a container mounts SecretProviderClass %s: add a volume of this class to the pod, and mount it in a container", quote(name), first.ref())
		}
	}
}

// secretKeys reports the keys of a reference that none of the writers writes.
func (ck *checker) secretKeys(w *workload, ref secretRef, severity Severity, writers []synced) {
	var written []string
	for _, s := range writers {
		written = append(written, s.keys...)
	}
	for _, node := range ref.keys {
		key := text(node)
		if key == "" || len(written) == 0 || slices.Contains(written, key) {
			continue
		}
		advice := class.DidYouMean(key, written)
		if advice == "" {
			advice = ": its keys are " + someOf(written)
		}
		ck.add(severity, w.at(node), w.object, ref.field, "SecretProviderClass %s writes no key %s to Secret %s%s", writers[0].class.ref(), quote(key), quote(text(ref.name)), advice)
	}
}

// someOf lists the first names.
func someOf(names []string) string {
	const most = 5
	var list []string
	for _, name := range names[:min(len(names), most)] {
		list = append(list, quote(name))
	}
	if len(names) > most {
		list = append(list, "…")
	}
	return strings.Join(list, ", ")
}
