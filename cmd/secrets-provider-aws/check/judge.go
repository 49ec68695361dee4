package check

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/provider/class"
)

// judge holds the manifests against the rules.
type judge struct {
	manifests
	findings
	options Options
	work    int // bytes of parameters that may still be parsed

	classOf    map[string]*providerClass // by "namespace/name", the first of each, and by name alone
	neighbours map[string][]string       // namespace → names of its classes
	accountOf  map[string]*account       // as classOf
}

// maxWork bounds the parameters of all classes, each counted again for each workload that overrides some.
const maxWork = 256 << 20

func (j *judge) all() {
	j.index()
	for _, c := range j.classes {
		j.class(c)
	}
	j.sameNames()
	for _, a := range j.accounts {
		j.account(a)
	}
	for _, w := range j.workloads {
		j.workload(w)
	}
}

// parse is class.Parse, the provider's own judgment.
func (j *judge) parse(parameters map[string]string) (class.Class, []class.Fault, bool) {
	for _, text := range parameters {
		j.work -= len(text)
	}
	if j.work < 0 {
		j.add(Error, place{}, object{}, "", "the manifests are too much to check at once: check fewer")
		return class.Class{}, nil, false
	}
	spc, err := class.Parse(parameters, j.options.Region)
	var list *class.Error
	if errors.As(err, &list) {
		return spc, list.Faults, false
	}
	return spc, nil, err == nil
}

func (j *judge) class(c *providerClass) {
	if c.name == "" {
		j.add(Error, c.place(), c.object, "metadata.name", "is missing")
	}
	j.knownFields(c, "", c.node, "apiVersion", "kind", "metadata", "spec", "status")
	j.knownFields(c, "spec.", get(c.node, "spec").value, "provider", "parameters", "secretObjects")
	j.texts(c.object, c.parameters, c.untyped, "spec.parameters.")
	if parameters := get(c.node, "spec", "parameters"); parameters.value != nil && parameters.value.Kind != yaml.MappingNode {
		j.add(Error, c.at(parameters.value), c.object, "spec.parameters", "is %s, not a mapping of parameters", cmp.Or(notText(parameters.value), "a text"))
		return
	}
	c.parsed, c.faults, c.valid = j.parse(values(c.parameters))
	for _, fault := range c.faults {
		if !c.untyped[fault.Parameter()] {
			j.add(Error, c.locate(fault, c.parameters), c.object, plain(fault.Field), "%s", fault.Message)
		}
	}
	c.valid = c.valid && len(c.untyped) == 0
	for _, w := range c.parsed.Warnings {
		j.add(severityOf(w), c.locate(w.Fault, c.parameters), c.object, plain(w.Field), "%s", w.Message)
	}
	j.secretObjects(c)
}

// severityOf a warning: what has no effect was not meant to stand there (rule I9).
func severityOf(w class.Warning) Severity {
	if w.Harmless {
		return Warning
	}
	return Error
}

// values are the parameters that are texts.
func values(parameters []parameter) map[string]string {
	texts := map[string]string{}
	for _, p := range parameters {
		if p.value.Kind == yaml.ScalarNode && p.value.Tag != "!!null" {
			texts[p.name()] = p.value.Value
		}
	}
	return texts
}

// locate finds a fault's place in the manifest: inside the parameter's text where that can be mapped, else the
// parameter, else the class.
func (c *providerClass) locate(f class.Fault, parameters []parameter) place {
	for _, p := range parameters {
		if p.name() != f.Parameter() {
			continue
		}
		if f.Line > 0 {
			if at, ok := p.in.inScalar(p.value, f.Line, f.Column); ok {
				return at
			}
		}
		return p.in.at(p.key)
	}
	if f := get(c.node, "spec", "parameters"); f.key != nil {
		return c.at(f.key)
	}
	return c.place()
}

// texts refuses what the API server would: parameters are texts.
func (j *judge) texts(o object, parameters []parameter, untyped map[string]bool, prefix string) {
	for _, p := range parameters {
		kind := notText(p.value)
		if kind == "" {
			continue
		}
		untyped[p.name()] = true
		advice := "put it in quotes"
		switch {
		case p.value.Tag == "!!null":
			advice = "give it a value, or leave it out"
		case p.value.Kind != yaml.ScalarNode:
			advice = "write a | behind its colon"
		}
		j.add(Error, p.in.at(p.value), o, prefix+plain(p.name()), "is %s, and the API server takes only texts: %s", kind, advice)
	}
}

// knownFields reports the fields of a mapping that the SecretProviderClass does not have, and those that stand twice.
func (j *judge) knownFields(c *providerClass, prefix string, node *yaml.Node, known ...string) {
	seen := map[string]bool{}
	for _, f := range fields(node) {
		name := f.key.Value
		switch {
		case seen[name]:
			j.add(Error, c.at(f.key), c.object, prefix+plain(name), "stands here twice")
		case !slices.Contains(known, name):
			j.add(Error, c.at(f.key), c.object, prefix+plain(name), "is not a field of a SecretProviderClass%s", class.DidYouMean(name, known))
		}
		seen[name] = true
	}
}

// sameNames finds classes of one name, and Kubernetes Secrets that two classes of a namespace write.
func (j *judge) sameNames() {
	classes, secrets := map[string]*providerClass{}, map[string]*providerClass{}
	for _, c := range j.classes {
		name := c.namespace + "/" + c.name
		if first := classes[name]; first != nil {
			at := first.place()
			j.add(Warning, c.place(), c.object, "", "is in the manifests twice, first at %s:%d: the last one applied wins", at.file, at.line)
			continue
		}
		classes[name] = c
		for _, o := range items(get(c.node, "spec", "secretObjects").value) {
			secret := get(o, "secretName")
			key := c.namespace + "/" + text(secret.value)
			if first := secrets[key]; first != nil && first != c && text(secret.value) != "" {
				j.add(Warning, c.at(secret.value), c.object, "spec.secretObjects", "the Secret %s is written by SecretProviderClass %s too", quote(text(secret.value)), first.ref())
				continue
			}
			secrets[key] = c
		}
	}
}

func (j *judge) account(a *account) {
	if a.role.value == nil {
		for _, f := range fields(get(a.node, "metadata", "annotations").value) {
			if near := class.DidYouMean(f.key.Value, []string{auth.RoleAnnotation}); near != "" {
				j.add(Error, a.at(f.key), a.object, "metadata.annotations", "%s is not the annotation that names a role%s", quote(f.key.Value), near)
			}
		}
		return
	}
	if arn := text(a.role.value); !awsclient.ValidRoleARN(arn) {
		j.add(Error, a.at(a.role.value), a.object, auth.RoleAnnotation, "%s is not the ARN of an IAM role, such as arn:aws:iam::123456789012:role/payment-role", quote(arn))
	}
}

func (j *judge) workload(w *workload) {
	for i := range w.volumes {
		v := &w.volumes[i]
		j.volume(w, v)
		if v.valid {
			j.identity(w, v)
		}
	}
	j.mountPaths(w)
}

func (j *judge) volume(w *workload, v *volume) {
	field := "volume " + plain(v.name)
	switch readOnly := get(v.csi.value, "readOnly"); {
	case readOnly.value == nil:
		j.add(Error, w.at(v.csi.key), w.object, field, "has no readOnly: true, without which the CSI driver mounts nothing")
	case text(readOnly.value) != "true" || readOnly.value.Tag != "!!bool":
		j.add(Error, w.at(readOnly.value), w.object, field, "readOnly has to be true: the CSI driver mounts nothing else")
	}
	j.texts(w.object, v.overrides, map[string]bool{}, field+": volumeAttributes.")
	named := get(v.attributes.value, classAttribute)
	if v.className == "" {
		at := w.at(v.csi.key)
		if v.attributes.key != nil {
			at = w.at(v.attributes.key)
		}
		near := ""
		for _, o := range v.overrides {
			if near = class.DidYouMean(o.name(), []string{classAttribute}); near != "" {
				at = w.at(o.key)
				break
			}
		}
		j.add(Error, at, w.object, field, "names no SecretProviderClass: volumeAttributes has no secretProviderClass%s", near)
		return
	}
	if v.class = j.find(w, v.className, w.at(named.value), field); v.class != nil {
		j.overlay(w, v, field)
	}
}

// maxNeighbours bounds the names that a mistyped one is compared with.
const maxNeighbours = 1000

func (j *judge) index() {
	j.classOf, j.neighbours, j.accountOf = map[string]*providerClass{}, map[string][]string{}, map[string]*account{}
	for _, c := range j.classes {
		for _, key := range []string{c.namespace + "/" + c.name, c.name} {
			j.classOf[key] = cmp.Or(j.classOf[key], c)
		}
		if len(j.neighbours[c.namespace]) < maxNeighbours {
			j.neighbours[c.namespace] = append(j.neighbours[c.namespace], c.name)
		}
	}
	for _, a := range j.accounts {
		for _, key := range []string{a.namespace + "/" + a.name, a.name} {
			j.accountOf[key] = cmp.Or(j.accountOf[key], a)
		}
	}
}

// inNamespace finds what a pod of a namespace means by a name, nil where that is not among the manifests. A manifest
// without a namespace is of whichever it is applied to.
func inNamespace[T any](index map[string]*T, namespace, name string) *T {
	if namespace == "" {
		return index[name]
	}
	return cmp.Or(index[namespace+"/"+name], index["/"+name])
}

// find is the class that a volume names.
func (j *judge) find(w *workload, name string, at place, field string) *providerClass {
	if c := inNamespace(j.classOf, w.namespace, name); c != nil {
		return c
	}
	elsewhere, neighbours := j.classOf[name], j.neighbours[w.namespace]
	switch {
	case elsewhere != nil:
		j.add(Error, at, w.object, field, "SecretProviderClass %s is in namespace %s: a pod mounts classes of its own namespace, %s", quote(name), plain(elsewhere.namespace), plain(w.namespace))
	case len(neighbours) > 0 || j.options.Strict:
		j.add(Error, at, w.object, field, "SecretProviderClass %s is not among the manifests%s", quote(qualified(w.namespace, name)), class.DidYouMean(name, neighbours))
	default:
		j.add(Note, at, w.object, field, "SecretProviderClass %s is not among the manifests: not checked", quote(qualified(w.namespace, name)))
	}
	return nil
}

// overlay judges the class as this volume overrides it, as the driver hands it over: only what comes of that is new.
func (j *judge) overlay(w *workload, v *volume, field string) {
	c := v.class
	if len(v.overrides) == 0 {
		v.parsed, v.valid = c.parsed, c.valid
		return
	}
	parameters := values(c.parameters)
	maps.Copy(parameters, values(v.overrides))
	var faults []class.Fault
	v.parsed, faults, v.valid = j.parse(parameters)
	overridden := func(name string) bool {
		return slices.ContainsFunc(v.overrides, func(p parameter) bool { return p.name() == name })
	}
	for _, fault := range faults {
		name := fault.Parameter()
		if slices.Contains(c.faults, fault) || c.untyped[name] && !overridden(name) {
			continue
		}
		at := w.at(v.attributes.key)
		if overridden(name) {
			at = c.locate(fault, v.overrides)
		}
		j.add(Error, at, w.object, field, "overrides SecretProviderClass %s: %s: %s", c.ref(), plain(fault.Field), fault.Message)
	}
	for _, warning := range v.parsed.Warnings {
		if overridden(warning.Parameter()) {
			j.add(severityOf(warning), c.locate(warning.Fault, v.overrides), w.object, field, "overrides SecretProviderClass %s: %s: %s", c.ref(), plain(warning.Field), warning.Message)
		}
	}
}

// identity asks whether the pod gets a role.
func (j *judge) identity(w *workload, v *volume) {
	a := inNamespace(j.accountOf, w.namespace, w.account)
	w.accountFound = a
	if v.parsed.PodIdentity || v.parsed.RoleARN != "" {
		return
	}
	const neither = "and SecretProviderClass %s has neither roleArn nor usePodIdentity"
	at := w.place()
	if w.accountNode != nil {
		at = w.at(w.accountNode)
	}
	switch {
	case a != nil && a.role.value == nil:
		j.add(Error, a.place(), a.object, "", "has no annotation "+auth.RoleAnnotation+", "+neither, v.class.ref())
	case a == nil && w.account == defaultAccount:
		j.add(Warning, at, w.object, "serviceAccountName", "is default, which has no role of its own, "+neither+": give the pod a ServiceAccount with the annotation "+auth.RoleAnnotation, v.class.ref())
	case a == nil:
		j.add(Note, at, w.object, "serviceAccountName", "ServiceAccount %s is not among the manifests: whether it has a role is not checked", quote(qualified(w.namespace, w.account)))
	}
}

// mountPaths finds volumes that one container mounts at one path, and files that never change.
func (j *judge) mountPaths(w *workload) {
	taken := map[[2]string]string{}
	for _, v := range w.volumes {
		field := "volume " + plain(v.name)
		files := filesOf(v.parsed)
		for _, m := range v.mounts {
			at := [2]string{m.Container, path.Clean(m.Path)}
			if first, ok := taken[at]; ok && first != v.name {
				j.add(Error, w.at(v.csi.key), w.object, field, "is mounted at %s in container %s, where volume %s is", quote(m.Path), plain(m.Container), plain(first))
			}
			taken[at] = v.name
			within := func(f File) bool { return f.Path == m.SubPath || strings.HasPrefix(f.Path, m.SubPath+"/") }
			switch {
			case m.SubPath == "":
			case v.valid && !slices.ContainsFunc(files, within):
				j.add(Error, w.at(v.csi.key), w.object, field, "is mounted with subPath %s, and there is no such file in it", quote(m.SubPath))
			default:
				j.add(Note, w.at(v.csi.key), w.object, field, "is mounted with subPath %s: such a file never changes, a rotated value arrives with the next pod", quote(m.SubPath))
			}
		}
	}
}

// secretObjects checks which Kubernetes Secrets the driver is to make of the files.
func (j *judge) secretObjects(c *providerClass) {
	node := get(c.node, "spec", "secretObjects").value
	if node != nil && node.Kind != yaml.SequenceNode && node.Tag != "!!null" {
		j.add(Error, c.at(node), c.object, "spec.secretObjects", "is not a list: begin each Secret with a dash")
	}
	files := map[string]bool{}
	for _, f := range filesOf(c.parsed) {
		files[f.Path] = true
	}
	names := map[string]bool{}
	for i, secret := range items(node) {
		field := fmt.Sprintf("spec.secretObjects[%d]", i)
		j.knownFields(c, field+".", secret, "secretName", "type", "labels", "annotations", "data")
		name := get(secret, "secretName")
		for _, needed := range []string{"secretName", "type", "data"} {
			if f := get(secret, needed); f.value == nil || text(f.value) == "" && len(items(f.value)) == 0 {
				j.add(Error, c.at(cmp.Or(f.key, secret)), c.object, field, "has no %s", needed)
			}
		}
		if text(name.value) != "" && names[text(name.value)] {
			j.add(Error, c.at(name.value), c.object, field+".secretName", "%s is the name of an earlier one: put their data together", quote(text(name.value)))
		}
		names[text(name.value)] = true
		j.secretData(c, secret, field, files)
	}
}

func (j *judge) secretData(c *providerClass, secret *yaml.Node, field string, files map[string]bool) {
	keys := map[string]bool{}
	for i, item := range items(get(secret, "data").value) {
		field := fmt.Sprintf("%s.data[%d]", field, i)
		j.knownFields(c, field+".", item, "objectName", "key")
		file, key := get(item, "objectName"), get(item, "key")
		for _, needed := range []struct {
			name string
			in   *yaml.Node
		}{{"objectName", file.value}, {"key", key.value}} {
			if text(needed.in) == "" {
				j.add(Error, c.at(item), c.object, field, "has no %s", needed.name)
			}
		}
		if k := text(key.value); k != "" && keys[k] {
			j.add(Error, c.at(key.value), c.object, field+".key", "%s is the key of an earlier one", quote(k))
		}
		keys[text(key.value)] = true
		if name := text(file.value); c.valid && name != "" && !files[name] && len(j.list) < maxFindings {
			j.add(Error, c.at(file.value), c.object, field+".objectName", "%s", noSuchFile(name, filesOf(c.parsed)))
		}
	}
}

// noSuchFile explains an objectName of secretObjects that names no file: people write the secret's name.
func noSuchFile(name string, files []File) string {
	paths := make([]string, len(files))
	for i, f := range files {
		if f.Object == name && f.JMESPath == "" {
			return fmt.Sprintf("%s is the name in AWS; here the file is meant, which is %s", quote(name), quote(f.Path))
		}
		paths[i] = f.Path
	}
	return fmt.Sprintf("%s is not a file of this class%s", quote(name), class.DidYouMean(name, paths))
}
