package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/kubesim"
)

// What the requests share.
const (
	region       = "ap-south-1"
	namespace    = "payments"
	audience     = "sts.amazonaws.com"
	agentsTokens = "pods.eks.amazonaws.com"
	roleKey      = "eks.amazonaws.com/role-arn"
	tenants      = 12
)

// world is what the provider meets.
type world struct {
	dir     string
	aws     *awssim.Sim
	kube    *kubesim.Sim
	issuer  *awssim.Issuer
	tenants []tenant
	corpus  []class
}

// tenant is a ServiceAccount with a role of its own, and tokens of all sorts.
type tenant struct {
	name  string
	good  string   // the token that STS believes
	wrong []string // signed tokens that it does not, or that are no use
}

// own is the secret that this tenant alone may read.
func (t tenant) own() string { return "own/" + t.name }

// ownValue is what it holds: no other tenant may ever see it.
func (t tenant) ownValue() string { return valueMarker + "-of-" + t.name + "-" }

// class is a SecretProviderClass of the corpus.
type class struct {
	Objects    string
	Parameters map[string]string
}

func openWorld(o options) (*world, error) {
	dir, err := os.MkdirTemp("", "hostile")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir}
	if err := w.fill(o); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *world) close() {
	if w.aws != nil {
		w.aws.Close()
	}
	if w.kube != nil {
		w.kube.Close()
	}
	_ = os.RemoveAll(w.dir) // a leftover of the temporary folder harms nobody
}

func (w *world) kubeconfig() string { return filepath.Join(w.dir, "kubeconfig") }

func (w *world) fill(o options) error {
	var state awssim.State
	if err := readTemplate(filepath.Join(o.classes, "world.yaml"), &state); err != nil {
		return err
	}
	state.Secrets = append(state.Secrets, hostileSecrets()...)
	var err error
	if w.aws, err = awssim.Start(awssim.Config{State: state, PodIdentityListen: "-"}); err != nil {
		return err
	}
	if w.issuer, err = w.aws.NewIssuer(); err != nil {
		return err
	}
	w.kube = kubesim.Start(0)
	if err := w.kube.WriteKubeconfig(w.kubeconfig()); err != nil {
		return err
	}
	w.kube.SetServiceAccount(namespace, "bare-sa", nil)
	w.kube.SetServiceAccount(namespace, "odd-sa", map[string]string{roleKey: "no\nARN\x1b[31m" + strings.Repeat("x", 5000)})
	for i := range tenants {
		if err := w.addTenant(fmt.Sprintf("tenant-%d", i)); err != nil {
			return err
		}
	}
	return w.readCorpus(o.classes)
}

func (w *world) addTenant(name string) error {
	t := tenant{name: name}
	w.aws.PutSecret(region, t.own(), fmt.Sprintf(`{"user":%q,"n":1}`, t.ownValue()))
	err := w.aws.AddRole(awssim.Role{Name: name, TrustPolicy: w.issuer.TrustPolicy(namespace, name), Policies: []awssim.Document{
		awssim.AllowPolicy("*", "ssm:GetParameters"),
		awssim.AllowPolicy("arn:aws:secretsmanager:*:*:secret:hostile/*", "secretsmanager:GetSecretValue"),
		awssim.AllowPolicy("arn:aws:secretsmanager:*:*:secret:*prod*", "secretsmanager:GetSecretValue"),
		awssim.AllowPolicy("arn:aws:secretsmanager:*:*:secret:"+t.own()+"-*", "secretsmanager:GetSecretValue"),
	}})
	if err != nil {
		return err
	}
	w.kube.SetServiceAccount(namespace, name, map[string]string{roleKey: "arn:aws:iam::" + awssim.DefaultAccount + ":role/" + name})
	if t.good, t.wrong, err = w.tokens(name); err != nil {
		return err
	}
	w.tenants = append(w.tenants, t)
	return nil
}

// tokens signs a good token of a ServiceAccount, and bad ones. Each holds the marker, for the search of leaks.
func (w *world) tokens(account string) (good string, wrong []string, err error) {
	marked := map[string]any{"marker": marker}
	forms := []awssim.Token{
		{Claims: marked, TTL: 24 * time.Hour},
		{Claims: marked, TTL: -time.Hour},
		{Claims: marked, Audience: []string{"api", "sts.example.com"}},
		{Claims: marked, IssuedAt: time.Now().Add(12 * time.Hour)},
		{Claims: map[string]any{"marker": marker, "sub": "system:serviceaccount:" + namespace + ":" + account + "-other"}},
		{Claims: map[string]any{"marker": marker, "sub": 7}},
		{Claims: map[string]any{"marker": marker, "kubernetes.io": nil}},
		{Claims: map[string]any{"marker": marker, "kubernetes.io": []int{1}}},
		{Claims: map[string]any{"marker": marker, "exp": 1e300}},
		{Claims: map[string]any{"marker": marker, "exp": -1}},
		{Claims: map[string]any{"marker": marker, "iss": "https://issuer.example.com"}},
		{Claims: map[string]any{"marker": strings.Repeat(marker, 400)}},
		{Claims: map[string]any{"marker": strings.Repeat(marker, 4000)}},
		{KeyID: "nobody's", Claims: marked},
	}
	for i, form := range forms {
		form.Namespace, form.ServiceAccount, form.Pod, form.Node = namespace, account, account+"-pod", "node-1"
		token, err := w.issuer.Token(form)
		if err != nil {
			return "", nil, err
		}
		if i == 0 {
			good = token
		} else {
			wrong = append(wrong, token)
		}
	}
	return good, wrong, nil
}

// Secrets that jmesPath has work with. Every value holds valueMarker.
func hostileSecrets() []awssim.Secret {
	var big, wide, list strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&big, `,{"name":"user-%d","id":%d,"tags":["a","b"],"on":%t}`, i, i, i%3 == 0)
		fmt.Fprintf(&wide, `,"key-%d":%d`, i, i)
		fmt.Fprintf(&list, `,%d`, i*7919%1000)
	}
	const deep = 900
	texts := map[string]string{
		"small": `{"user":"` + valueMarker + `","port":5432,"ratio":1.50,"on":true,"none":null,"pool":{"min":1,"max":20},"hosts":["a","b"],"users":[{"name":"zoe","id":2},{"name":"bob","id":1}]}`,
		"big":   `{"user":"` + valueMarker + `","users":[{}` + big.String() + `]}`,
		"wide":  `{"user":"` + valueMarker + `"` + wide.String() + `,"list":[0` + list.String() + `]}`,
		"deep":  strings.Repeat(`{"a":[`, deep) + `"` + valueMarker + `"` + strings.Repeat(`]}`, deep),
		"text":  valueMarker + strings.Repeat(" text", 1000),
		"long":  `{"user":"` + valueMarker + strings.Repeat("x", 60_000) + `"}`,
		"odd":   "{\"user\":\"" + valueMarker + "\\u0000\\ud800\u202e\",\"\":{\"\":1e400},\"n\":-0.0,\"big\":123456789012345678901234567890}",
	}
	secrets := make([]awssim.Secret, 0, len(texts)+1)
	for name, text := range texts {
		secrets = append(secrets, awssim.Secret{Region: region, Name: "hostile/" + name, Value: text})
	}
	return append(secrets, awssim.Secret{Region: region, Name: "hostile/binary", Binary: []byte("\x00\xff" + valueMarker)})
}

// readCorpus reads the SecretProviderClasses of the server's tests.
func (w *world) readCorpus(folder string) error {
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		if base := filepath.Base(path); base == "world.yaml" || base == "rules.yaml" {
			continue
		}
		var table []class
		if err := readTemplate(path, &table); err != nil {
			return err
		}
		w.corpus = append(w.corpus, table...)
	}
	if len(w.corpus) < 100 {
		return fmt.Errorf("%s holds %d classes, which is not all", folder, len(w.corpus))
	}
	return nil
}

// readTemplate reads YAML whose long parts are a Go template.
func readTemplate(path string, into any) error {
	file, err := template.New(filepath.Base(path)).Funcs(template.FuncMap{"repeat": strings.Repeat}).ParseFiles(path)
	if err != nil {
		return fmt.Errorf("read the classes to begin with (--classes): %w", err)
	}
	var text bytes.Buffer
	if err := file.Execute(&text, nil); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := yaml.Unmarshal(text.Bytes(), into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
