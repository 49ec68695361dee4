package check

import (
	"cmp"
	"strings"

	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/provider/class"
)

// Kubernetes names in the manifests.
const (
	classKind      = "SecretProviderClass"
	classGroup     = "secrets-store.csi.x-k8s.io"
	driverName     = "secrets-store.csi.k8s.io"
	providerName   = "aws"
	defaultAccount = "default"
	classAttribute = "secretProviderClass"
)

// object is a Kubernetes object.
type object struct {
	*document
	node                  *yaml.Node
	kind, namespace, name string
}

// ref is namespace/name for messages, or name if the manifest has no namespace.
func (o *object) ref() string { return qualified(o.namespace, o.name) }

func qualified(namespace, name string) string {
	if namespace == "" {
		return plain(name)
	}
	return plain(namespace) + "/" + plain(name)
}

// place is the position of the object's name, or of its beginning.
func (o *object) place() place {
	if f := get(o.node, "metadata", "name"); f.value != nil {
		return o.at(f.value)
	}
	return o.at(o.node)
}

// providerClass is a SecretProviderClass of provider aws.
type providerClass struct {
	object
	parameters []parameter
	untyped    map[string]bool // parameters that are not strings, already reported

	parsed class.Class
	faults []class.Fault
	valid  bool // parsed without a fault
}

// parameter is one of spec.parameters, or of a volume's volumeAttributes.
type parameter struct {
	field
	in *document
}

func (p parameter) name() string { return p.key.Value }

// account is a ServiceAccount.
type account struct {
	object
	role field // the role annotation; zero for none
}

// workload is a pod or anything with a pod template.
type workload struct {
	object
	spec         *yaml.Node // of the pod
	containers   []container
	account      string
	accountNode  *yaml.Node // nil if the pod names none
	volumes      []volume
	accountFound *account // the ServiceAccount, if it is among the manifests
}

// volume is a volume of the Secrets Store CSI driver.
type volume struct {
	name, className string
	csi             field
	attributes      field
	overrides       []parameter // the other volumeAttributes, without the class's name
	mounts          []mount

	class  *providerClass // nil if not among the manifests
	parsed class.Class    // the class with the overrides
	valid  bool
}

// container is a container of a pod, of any kind.
type container struct {
	name string
	node *yaml.Node
}

// mount is a container's mount of a volume.
type mount struct {
	Mount
	node        *yaml.Node
	container   container
	subPathExpr string // empty for none
}

// manifests are the objects of the documents.
type manifests struct {
	classes   []*providerClass
	accounts  []*account
	workloads []*workload // with volumes of the driver
	others    []*workload // without
}

// maxNesting limits Lists inside Lists.
const maxNesting = 3

// collect collects the objects of a document.
func (m *manifests) collect(d *document, node *yaml.Node, nesting int, f *findings) {
	o := object{
		document: d, node: follow(node), kind: textAt(node, "kind"),
		namespace: textAt(node, "metadata", "namespace"), name: textAt(node, "metadata", "name"),
	}
	version := textAt(node, "apiVersion")
	group, _, _ := strings.Cut(version, "/")
	switch {
	case strings.HasSuffix(o.kind, "List") && nesting < maxNesting && items(get(node, "items").value) != nil:
		for _, item := range items(get(node, "items").value) {
			m.collect(d, item, nesting+1, f)
		}
	case o.kind == classKind || group == classGroup && strings.HasPrefix(o.kind, "Secret") && o.kind != classKind+"PodStatus":
		m.collectClass(o, version, f)
	case o.kind == "ServiceAccount" && version == "v1":
		m.accounts = append(m.accounts, &account{object: o, role: get(node, "metadata", "annotations", auth.RoleAnnotation)})
	default:
		if spec := podSpec(o); spec != nil {
			m.collectWorkload(o, spec, f)
		}
	}
}

func (m *manifests) collectClass(o object, version string, f *findings) {
	switch {
	case o.kind != classKind:
		f.add(Error, o.at(get(o.node, "kind").value), o, "kind", "%s is not a kind of %s%s", quote(o.kind), classGroup, class.DidYouMean(o.kind, []string{classKind}))
		return
	case version == classGroup+"/v1alpha1":
		f.add(Note, o.at(get(o.node, "apiVersion").value), o, "apiVersion", "v1alpha1 is deprecated: write %s/v1", classGroup)
	case version != classGroup+"/v1":
		f.add(Error, o.at(get(o.node, "apiVersion").value), o, "apiVersion", "%s is not the version of a SecretProviderClass: write %s/v1", quote(version), classGroup)
	}
	at := get(o.node, "spec", "provider")
	switch name := text(at.value); {
	case name == providerName:
	case name == "":
		f.add(Error, o.place(), o, "spec.provider", "is missing: write provider: aws")
	case strings.EqualFold(strings.TrimSpace(name), providerName):
		f.add(Error, o.at(at.value), o, "spec.provider", "is %s: the name must be exactly aws", quote(name))
	default:
		f.add(Note, o.at(at.value), o, "spec.provider", "is %s, which is another provider: skipped", quote(name))
		return
	}
	c := &providerClass{object: o, untyped: map[string]bool{}}
	for _, p := range fields(get(o.node, "spec", "parameters").value) {
		c.parameters = append(c.parameters, parameter{p, o.document})
	}
	m.classes = append(m.classes, c)
}

// podSpec is the pod spec of the object, nil for none.
func podSpec(o object) *yaml.Node {
	for _, path := range [][]string{{"spec", "jobTemplate", "spec", "template", "spec"}, {"spec", "template", "spec"}, {"spec"}} {
		if len(path) == 1 && o.kind != "Pod" {
			continue
		}
		if spec := get(o.node, path...).value; get(spec, "containers").value != nil || get(spec, "volumes").value != nil {
			return spec
		}
	}
	return nil
}

func (m *manifests) collectWorkload(o object, spec *yaml.Node, f *findings) {
	w := &workload{object: o, spec: spec}
	named := get(spec, "serviceAccountName")
	if named.value == nil {
		named = get(spec, "serviceAccount") // its old name
	}
	w.accountNode, w.account = named.value, cmp.Or(text(named.value), defaultAccount)
	mounts := map[string][]mount{}
	for _, kind := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, node := range items(get(spec, kind).value) {
			c := container{name: textAt(node, "name"), node: node}
			w.containers = append(w.containers, c)
			for _, node := range items(get(node, "volumeMounts").value) {
				name := textAt(node, "name")
				mounts[name] = append(mounts[name], mount{
					Mount: Mount{Container: c.name, Path: textAt(node, "mountPath"), SubPath: textAt(node, "subPath")},
					node:  node, container: c, subPathExpr: textAt(node, "subPathExpr"),
				})
			}
		}
	}
	for _, node := range items(get(spec, "volumes").value) {
		if v, ok := w.volume(node, f); ok {
			v.mounts = mounts[v.name]
			w.volumes = append(w.volumes, v)
		}
	}
	if len(w.volumes) > 0 {
		m.workloads = append(m.workloads, w)
	} else {
		m.others = append(m.others, w)
	}
}

// volume reads a volume of the Secrets Store CSI driver, or one that looks like a typo of it.
func (w *workload) volume(node *yaml.Node, f *findings) (volume, bool) {
	v := volume{name: textAt(node, "name"), csi: get(node, "csi")}
	v.attributes = get(v.csi.value, "volumeAttributes")
	driver := get(v.csi.value, "driver")
	className := get(v.attributes.value, classAttribute)
	if text(driver.value) != driverName {
		near := class.DidYouMean(text(driver.value), []string{driverName}) != "" || strings.EqualFold(text(driver.value), classGroup)
		if v.csi.value == nil || className.value == nil && !near {
			return v, false
		}
		at := driver.value
		if at == nil {
			at = v.csi.key
		}
		f.add(Error, w.at(at), w.object, "csi.driver", "is %s: the Secrets Store CSI driver is %s", quote(text(driver.value)), driverName)
	}
	v.className = text(className.value)
	for _, a := range fields(v.attributes.value) {
		if a.key.Value != classAttribute {
			v.overrides = append(v.overrides, parameter{a, w.document})
		}
	}
	return v, true
}
