package check

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/provider/class"
)

// checker checks the manifests.
type checker struct {
	manifests
	findings
	options Options
	work    int // remaining bytes of parameters to parse

	classOf    map[string]*providerClass // by "namespace/name" and by name alone; the first of several
	neighbours map[string][]string       // namespace → names of its classes
	accountOf  map[string]*account       // keys as in classOf
}

// maxWork limits the bytes of parameters to parse. A class counts again for each volume that overrides a parameter.
const maxWork = 256 << 20

func (ck *checker) all() {
	ck.index()
	for _, c := range ck.classes {
		ck.class(c)
	}
	ck.sameNames()
	for _, a := range ck.accounts {
		ck.account(a)
	}
	for _, w := range ck.workloads {
		ck.workload(w)
	}
	ck.secretRefs()
}

// parse parses with class.Parse, as the provider does.
func (ck *checker) parse(parameters map[string]string) (class.Class, []class.Fault, bool) {
	for _, text := range parameters {
		ck.work -= len(text)
	}
	if ck.work < 0 {
		ck.add(Error, place{}, object{}, "", "the manifests are too large to check at once: check fewer")
		return class.Class{}, nil, false
	}
	parsed, err := class.Parse(parameters, ck.options.Region)
	var list *class.Error
	if errors.As(err, &list) {
		return parsed, list.Faults, false
	}
	return parsed, nil, err == nil
}

func (ck *checker) class(c *providerClass) {
	if c.name == "" {
		ck.add(Error, c.place(), c.object, "metadata.name", "is missing")
	}
	ck.knownFields(c, "", c.node, "apiVersion", "kind", "metadata", "spec", "status")
	ck.knownFields(c, "spec.", get(c.node, "spec").value, "provider", "parameters", "secretObjects")
	ck.stringsOnly(c.object, c.parameters, c.untyped, "spec.parameters.")
	if parameters := get(c.node, "spec", "parameters"); parameters.value != nil && parameters.value.Kind != yaml.MappingNode {
		ck.add(Error, c.at(parameters.value), c.object, "spec.parameters", "is %s, not a mapping of parameters", cmp.Or(notString(parameters.value), "a string"))
		return
	}
	c.parsed, c.faults, c.valid = ck.parse(values(c.parameters))
	for _, fault := range c.faults {
		if !c.untyped[fault.Parameter()] {
			ck.add(Error, c.locate(fault, c.parameters), c.object, plain(fault.Field), "%s", fault.Message)
		}
	}
	c.valid = c.valid && len(c.untyped) == 0
	for _, w := range c.parsed.Warnings {
		ck.add(severityOf(w), c.locate(w.Fault, c.parameters), c.object, plain(w.Field), "%s", w.Message)
	}
	ck.secretObjects(c)
}

// severityOf returns Error for a setting without effect (rule I9).
func severityOf(w class.Warning) Severity {
	if w.Harmless {
		return Warning
	}
	return Error
}

// values are the parameters that are strings.
func values(parameters []parameter) map[string]string {
	byName := map[string]string{}
	for _, p := range parameters {
		if p.value.Kind == yaml.ScalarNode && p.value.Tag != "!!null" {
			byName[p.name()] = p.value.Value
		}
	}
	return byName
}

// locate finds the position of a fault in the manifest: inside the parameter's text if inScalar can map it, else at the
// parameter, else at the class.
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

// stringsOnly refuses parameters that are not strings, as the API server does.
func (ck *checker) stringsOnly(o object, parameters []parameter, untyped map[string]bool, prefix string) {
	for _, p := range parameters {
		kind := notString(p.value)
		if kind == "" {
			continue
		}
		untyped[p.name()] = true
		advice := "put it in quotes"
		switch {
		case p.value.Tag == "!!null":
			advice = "give it a value, or remove it"
		case p.value.Kind != yaml.ScalarNode:
			advice = "write | after the colon"
		}
		ck.add(Error, p.in.at(p.value), o, prefix+plain(p.name()), "is %s, but the API server accepts only strings: %s", kind, advice)
	}
}

// knownFields reports unknown and duplicate fields of a mapping in a SecretProviderClass.
func (ck *checker) knownFields(c *providerClass, prefix string, node *yaml.Node, known ...string) {
	seen := map[string]bool{}
	for _, f := range fields(node) {
		name := f.key.Value
		switch {
		case seen[name]:
			ck.add(Error, c.at(f.key), c.object, prefix+plain(name), "is set twice")
		case !slices.Contains(known, name):
			ck.add(Error, c.at(f.key), c.object, prefix+plain(name), "is not a field of a SecretProviderClass%s", class.DidYouMean(name, known))
		}
		seen[name] = true
	}
}

// sameNames reports classes with the same name, and Kubernetes Secrets that two classes of a namespace write.
func (ck *checker) sameNames() {
	classes, secrets := map[string]*providerClass{}, map[string]*providerClass{}
	for _, c := range ck.classes {
		name := c.namespace + "/" + c.name
		if first := classes[name]; first != nil {
			at := first.place()
			ck.add(Warning, c.place(), c.object, "", "is in the manifests twice, first at %s:%d: the last one applied wins", at.file, at.line)
			continue
		}
		classes[name] = c
		for _, o := range items(get(c.node, "spec", "secretObjects").value) {
			secret := get(o, "secretName")
			key := c.namespace + "/" + text(secret.value)
			if first := secrets[key]; first != nil && first != c && text(secret.value) != "" {
				ck.add(Warning, c.at(secret.value), c.object, "spec.secretObjects", "SecretProviderClass %s writes the Secret %s too", first.ref(), quote(text(secret.value)))
				continue
			}
			secrets[key] = c
		}
	}
}

func (ck *checker) account(a *account) {
	if a.role.value == nil {
		for _, f := range fields(get(a.node, "metadata", "annotations").value) {
			if near := class.DidYouMean(f.key.Value, []string{auth.RoleAnnotation}); near != "" {
				ck.add(Error, a.at(f.key), a.object, "metadata.annotations", "%s is not the annotation for the role%s", quote(f.key.Value), near)
			}
		}
		return
	}
	if arn := text(a.role.value); !awsclient.ValidRoleARN(arn) {
		ck.add(Error, a.at(a.role.value), a.object, auth.RoleAnnotation, "%s is not the ARN of an IAM role, such as arn:aws:iam::123456789012:role/payment-role", quote(arn))
	}
}

func (ck *checker) workload(w *workload) {
	for i := range w.volumes {
		v := &w.volumes[i]
		ck.volume(w, v)
		if v.valid {
			ck.identity(w, v)
		}
	}
	ck.mounts(w)
}

func (ck *checker) volume(w *workload, v *volume) {
	field := "volume " + plain(v.name)
	switch readOnly := get(v.csi.value, "readOnly"); {
	case readOnly.value == nil:
		ck.add(Error, w.at(v.csi.key), w.object, field, "has no readOnly: true, which the CSI driver requires")
	case text(readOnly.value) != "true" || readOnly.value.Tag != "!!bool":
		ck.add(Error, w.at(readOnly.value), w.object, field, "readOnly must be true: the CSI driver refuses any other volume")
	}
	ck.stringsOnly(w.object, v.overrides, map[string]bool{}, field+": volumeAttributes.")
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
		ck.add(Error, at, w.object, field, "names no SecretProviderClass: volumeAttributes has no secretProviderClass%s", near)
		return
	}
	if v.class = ck.find(w, v.className, w.at(named.value), field); v.class != nil {
		ck.overlay(w, v, field)
	}
}

// maxNeighbours limits the names to compare with a mistyped one.
const maxNeighbours = 1000

func (ck *checker) index() {
	ck.classOf, ck.neighbours, ck.accountOf = map[string]*providerClass{}, map[string][]string{}, map[string]*account{}
	for _, c := range ck.classes {
		for _, key := range []string{c.namespace + "/" + c.name, c.name} {
			ck.classOf[key] = cmp.Or(ck.classOf[key], c)
		}
		if len(ck.neighbours[c.namespace]) < maxNeighbours {
			ck.neighbours[c.namespace] = append(ck.neighbours[c.namespace], c.name)
		}
	}
	for _, a := range ck.accounts {
		for _, key := range []string{a.namespace + "/" + a.name, a.name} {
			ck.accountOf[key] = cmp.Or(ck.accountOf[key], a)
		}
	}
}

// inNamespace finds the object that a pod of a namespace refers to by name, nil if it is not among the manifests.
// A manifest without a namespace matches every namespace, because kubectl or helm sets it later.
func inNamespace[T any](index map[string]*T, namespace, name string) *T {
	if namespace == "" {
		return index[name]
	}
	return cmp.Or(index[namespace+"/"+name], index["/"+name])
}

// find returns the class that a volume names, or reports why there is none.
func (ck *checker) find(w *workload, name string, at place, field string) *providerClass {
	if c := inNamespace(ck.classOf, w.namespace, name); c != nil {
		return c
	}
	elsewhere, neighbours := ck.classOf[name], ck.neighbours[w.namespace]
	switch {
	case elsewhere != nil:
		ck.add(Error, at, w.object, field, "SecretProviderClass %s is in namespace %s: a pod can mount only classes of its own namespace, %s", quote(name), plain(elsewhere.namespace), plain(w.namespace))
	case len(neighbours) > 0 || ck.options.Strict:
		ck.add(Error, at, w.object, field, "SecretProviderClass %s is not among the manifests%s", quote(qualified(w.namespace, name)), class.DidYouMean(name, neighbours))
	default:
		ck.add(Note, at, w.object, field, "SecretProviderClass %s is not among the manifests: not checked", quote(qualified(w.namespace, name)))
	}
	return nil
}

// overlay checks the class with the overrides of this volume, as the driver sends it. It reports only the faults that
// the overrides cause.
func (ck *checker) overlay(w *workload, v *volume, field string) {
	c := v.class
	if len(v.overrides) == 0 {
		v.parsed, v.valid = c.parsed, c.valid
		return
	}
	parameters := values(c.parameters)
	maps.Copy(parameters, values(v.overrides))
	var faults []class.Fault
	v.parsed, faults, v.valid = ck.parse(parameters)
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
		ck.add(Error, at, w.object, field, "overrides SecretProviderClass %s: %s: %s", c.ref(), plain(fault.Field), fault.Message)
	}
	for _, warning := range v.parsed.Warnings {
		if overridden(warning.Parameter()) {
			ck.add(severityOf(warning), c.locate(warning.Fault, v.overrides), w.object, field, "overrides SecretProviderClass %s: %s: %s", c.ref(), plain(warning.Field), warning.Message)
		}
	}
}

// identity checks that the pod gets a role.
func (ck *checker) identity(w *workload, v *volume) {
	a := inNamespace(ck.accountOf, w.namespace, w.account)
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
		ck.add(Error, a.place(), a.object, "", "has no annotation "+auth.RoleAnnotation+", "+neither, v.class.ref())
	case a == nil && w.account == defaultAccount:
		ck.add(Warning, at, w.object, "serviceAccountName", "is default, which has no role of its own, "+neither+": give the pod a ServiceAccount with the annotation "+auth.RoleAnnotation, v.class.ref())
	case a == nil:
		ck.add(Note, at, w.object, "serviceAccountName", "ServiceAccount %s is not among the manifests: whether it has a role is not checked", quote(qualified(w.namespace, w.account)))
	}
}

// secretObjects checks the Kubernetes Secrets that the driver creates from the files.
func (ck *checker) secretObjects(c *providerClass) {
	node := get(c.node, "spec", "secretObjects").value
	if node != nil && node.Kind != yaml.SequenceNode && node.Tag != "!!null" {
		ck.add(Error, c.at(node), c.object, "spec.secretObjects", "is not a list: begin each Secret with a dash")
	}
	files := filesOf(c.parsed)
	names := map[string]bool{}
	for i, secret := range items(node) {
		field := fmt.Sprintf("spec.secretObjects[%d]", i)
		ck.knownFields(c, field+".", secret, "secretName", "type", "labels", "annotations", "data")
		name := get(secret, "secretName")
		for _, needed := range []string{"secretName", "type", "data"} {
			if f := get(secret, needed); f.value == nil || text(f.value) == "" && len(items(f.value)) == 0 {
				ck.add(Error, c.at(cmp.Or(f.key, secret)), c.object, field, "has no %s", needed)
			}
		}
		if text(name.value) != "" && names[text(name.value)] {
			ck.add(Error, c.at(name.value), c.object, field+".secretName", "%s is the name of an earlier entry: merge their data", quote(text(name.value)))
		}
		names[text(name.value)] = true
		ck.secretData(c, secret, field, files)
	}
}

func (ck *checker) secretData(c *providerClass, secret *yaml.Node, field string, files []File) {
	keys := map[string]bool{}
	for i, item := range items(get(secret, "data").value) {
		field := fmt.Sprintf("%s.data[%d]", field, i)
		ck.knownFields(c, field+".", item, "objectName", "key")
		file, key := get(item, "objectName"), get(item, "key")
		for _, needed := range []struct {
			name string
			in   *yaml.Node
		}{{"objectName", file.value}, {"key", key.value}} {
			if text(needed.in) == "" {
				ck.add(Error, c.at(item), c.object, field, "has no %s", needed.name)
			}
		}
		if k := text(key.value); k != "" && keys[k] {
			ck.add(Error, c.at(key.value), c.object, field+".key", "%s is the key of an earlier entry", quote(k))
		}
		keys[text(key.value)] = true
		name := text(file.value)
		if !c.valid || name == "" || len(ck.list) >= maxFindings {
			continue
		}
		switch at := slices.IndexFunc(files, func(f File) bool { return f.covers(name) }); {
		case at < 0:
			ck.add(Error, c.at(file.value), c.object, field+".objectName", "%s", noSuchFile(name, files))
		case files[at].Optional:
			ck.add(Note, c.at(file.value), c.object, field+".objectName", "%s is optional: while the file is absent, the driver does not write this Secret", quote(name))
		}
	}
}

// noSuchFile explains an objectName of secretObjects that is not a file. Often it is the secret's name instead.
func noSuchFile(name string, files []File) string {
	paths := make([]string, len(files))
	for i, f := range files {
		if f.Object == name && f.JMESPath == "" {
			return fmt.Sprintf("%s is the name in AWS, but objectName is the file here: write %s", quote(name), quote(f.Path))
		}
		paths[i] = f.Path
	}
	return fmt.Sprintf("%s is not a file of this class%s", quote(name), class.DidYouMean(name, paths))
}
