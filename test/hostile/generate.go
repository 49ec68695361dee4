package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// input is one request.
type input struct {
	number  int
	kind    string
	method  string // gRPC's full name
	payload []byte // of the call
	raw     []byte // what is written to a connection of its own, instead of a call; nil for a call
	timed   bool   // a call in raw has a deadline of its own
	tenant  int    // whose token it holds; -1 where that says nothing
}

// kind of request, and how often of a hundred.
type kind struct {
	name   string
	share  int
	attack func(*source, *mount)
}

// kinds in the order of how deep they aim. Each begins with a valid request and spoils one part of it, so that
// it gets past the checks before that part.
var kinds = []kind{
	{"raw", 2, nil},
	{"protobuf", 5, nil},
	{"attributes", 9, nil},
	{"tokens", 10, attackTokens},
	{"parameters", 10, attackParameters},
	{"class", 27, attackClass},
	{"jmespath", 22, attackJMESPath},
	{"valid", 15, func(*source, *mount) {}},
}

func kindNames() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

func checkKinds(names []string) error {
	for _, name := range names {
		if !slices.Contains(kindNames(), name) {
			return fmt.Errorf("there is no kind %q; there are %s", name, strings.Join(kindNames(), ", "))
		}
	}
	return nil
}

// mount is a request before it is encoded.
type mount struct {
	tenant     int
	account    string
	pod, uid   string
	parameters map[string]string
	tokens     map[string]any // audience → {token}
	tokenText  string         // instead of tokens, where set
	inSecrets  bool
	permission string
}

// source makes the parts of one request.
type source struct {
	*rand.Rand
	w      *world
	number int
}

// generator makes requests.
type generator struct {
	w      *world
	seed   uint64
	chosen []kind
	total  int
}

func newGenerator(w *world, o options) *generator {
	g := &generator{w: w, seed: o.seed}
	for _, k := range kinds {
		if len(o.kinds) == 0 || slices.Contains(o.kinds, k.name) {
			g.chosen = append(g.chosen, k)
			g.total += k.share
		}
	}
	return g
}

const (
	methodMount   = v1alpha1.CSIDriverProvider_Mount_FullMethodName
	methodVersion = v1alpha1.CSIDriverProvider_Version_FullMethodName
)

// request number n: the same one for the same seed and kinds, but for the signatures of its tokens.
func (g *generator) request(n int) input {
	s := &source{Rand: rand.New(rand.NewPCG(g.seed, uint64(n))), w: g.w, number: n}
	at := s.IntN(g.total)
	k := g.chosen[0]
	for _, k = range g.chosen {
		if at -= k.share; at < 0 {
			break
		}
	}
	m := s.valid()
	in := input{number: n, kind: k.name, method: methodMount, tenant: m.tenant}
	if k.attack != nil {
		k.attack(s, m)
		in.payload = encode(m.request())
		return in
	}
	switch k.name {
	case "raw":
		in.raw, in.timed = s.connection(encode(m.request()))
	case "protobuf":
		in.method, in.payload = s.protobuf(encode(m.request()))
	case "attributes":
		req := m.request()
		s.attackAttributes(req)
		in.payload = encode(req)
	}
	return in
}

// valid is a request that a driver could send: for a class of the corpus, or for one that reads what is there.
func (s *source) valid() *mount {
	t := s.IntN(tenants)
	m := &mount{
		tenant: t, account: s.w.tenants[t].name, permission: "420", parameters: map[string]string{"region": region},
		pod: fmt.Sprintf("pod-%d", s.number), uid: fmt.Sprintf("uid-%d", s.number),
		tokens: map[string]any{audience: token(s.w.tenants[t].good)}, inSecrets: s.IntN(8) == 0,
	}
	if s.IntN(5) == 0 { // a republish of an earlier one, if that was mounted
		m.uid = fmt.Sprintf("uid-%d", max(s.number-1-s.IntN(200), 0))
	}
	if s.IntN(2) == 0 {
		c := s.w.corpus[s.IntN(len(s.w.corpus))]
		m.parameters["objects"] = c.Objects
		maps.Copy(m.parameters, c.Parameters)
		if m.parameters["usePodIdentity"] != "" && s.IntN(10) != 0 { // no agent is here, and looking for one takes time
			delete(m.parameters, "usePodIdentity")
		}
		return m
	}
	m.parameters["objects"] = s.objects()
	return m
}

// objects is a list that most tenants may read.
func (s *source) objects() string {
	var out strings.Builder
	for i := range 1 + s.IntN(3) {
		switch s.IntN(8) {
		case 0:
			fmt.Fprintf(&out, "- {objectName: /ten/%d, objectType: ssmparameter, objectAlias: a%d}\n", s.IntN(11), i)
		case 1:
			fmt.Fprintf(&out, "- {objectName: own/tenant-%d, objectType: secretsmanager, objectAlias: a%d}\n", s.IntN(tenants), i) // mostly another's
		default:
			fmt.Fprintf(&out, "- {objectName: hostile/%s, objectType: secretsmanager, objectAlias: a%d}\n", s.pick("small", "small", "text", "deep", "odd", "binary", "big"), i)
		}
	}
	return out.String()
}

func token(text string) map[string]string { return map[string]string{"token": text} }

func (s *source) pick(from ...string) string { return from[s.IntN(len(from))] }

// request encodes the mount as the driver does.
func (m *mount) request() *v1alpha1.MountRequest {
	attributes := map[string]string{
		"csi.storage.k8s.io/pod.name": m.pod, "csi.storage.k8s.io/pod.namespace": namespace, "csi.storage.k8s.io/pod.uid": m.uid,
		"csi.storage.k8s.io/serviceAccount.name": m.account, "csi.storage.k8s.io/ephemeral": "true", "secretProviderClass": "class",
	}
	maps.Copy(attributes, m.parameters)
	text := m.tokenText
	if text == "" {
		text = encodeJSON(m.tokens)
	}
	secrets := "null"
	if m.inSecrets {
		secrets = encodeJSON(map[string]string{tokensAttribute: text, "password": publishMarker})
	} else {
		attributes[tokensAttribute] = text
	}
	return &v1alpha1.MountRequest{
		Attributes: encodeJSON(attributes), Secrets: secrets, Permission: m.permission,
		TargetPath: "/var/lib/kubelet/pods/" + m.uid + "/volumes/kubernetes.io~csi/secrets/mount",
	}
}

const tokensAttribute = "csi.storage.k8s.io/serviceAccount.tokens"

// encode is protobuf's. A text that is not UTF-8 goes as it is: protobuf's own encoder refuses that.
func encode(req *v1alpha1.MountRequest) []byte {
	text, err := proto.Marshal(req)
	if err == nil {
		return text
	}
	var out []byte
	for i, value := range []string{req.GetAttributes(), req.GetSecrets(), req.GetTargetPath(), req.GetPermission()} {
		out = appendField(out, byte(i+1), value)
	}
	return out
}

func encodeJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of texts can always be encoded
	}
	return string(text)
}

// usual is a request that has to be mounted.
func (w *world) usual() input {
	t := w.tenants[0]
	m := &mount{
		account: t.name, permission: "420", pod: "usual", uid: "usual", tokens: map[string]any{audience: token(t.good)},
		parameters: map[string]string{"region": region, "objects": "- {objectName: " + t.own() + ", objectType: secretsmanager}"},
	}
	return input{kind: "usual", method: methodMount, payload: encode(m.request())}
}
