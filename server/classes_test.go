package server_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/status"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/docs"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/csidriver"
	"secrets-provider-aws/test/rig"
)

// classRow is one SecretProviderClass and the expected result. testdata/classes/README.md explains each field.
type classRow struct {
	Class          string
	Shows          []string
	Objects        string
	Parameters     map[string]string
	ServiceAccount string `yaml:"serviceAccount"`
	Permission     string
	Setup          string
	Faults         []map[string]any
	Files          map[string]string
	Warns          []string
	Refused        string
	Calls          map[string]int
}

const classFolder = "testdata/classes/"

// TestClasses mounts every class of testdata/classes and compares the result. Each rule in rules.yaml needs a class.
func TestClasses(t *testing.T) {
	rules := map[string]string{}
	decodeYAML(t, "rules.yaml", &rules)
	contract, err := docs.Rules()
	if err != nil {
		t.Fatal(err)
	}
	for id := range rules {
		if contract[id] == "" {
			t.Errorf("rules.yaml has %s, but docs/contract.md does not", id)
		}
	}
	h := newClassRigs(t)
	listed, shown := 0, map[string]bool{}
	for _, file := range classFiles(t) {
		var table []classRow
		decodeYAML(t, file, &table)
		for _, row := range table {
			listed++
			t.Run(strings.TrimSuffix(file, ".yaml")+"/"+row.Class, func(t *testing.T) {
				if len(row.Shows) == 0 || (row.Refused == "") == (len(row.Files) == 0) {
					t.Error("a class needs a rule in shows, and either files or refused")
				}
				h.check(t, row)
			})
			for _, rule := range row.Shows {
				shown[rule] = true
				if rules[rule] == "" {
					t.Errorf("%s: rules.yaml has no rule %q", row.Class, rule)
				}
			}
		}
	}
	if listed < 110 {
		t.Errorf("%d classes, want at least 110", listed)
	}
	for rule := range rules {
		if !shown[rule] {
			t.Errorf("no class shows %s: %s", rule, rules[rule])
		}
	}
}

// classFiles returns the tables. README.md must list each of them.
func classFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(classFolder + "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(classFolder + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, path := range paths {
		name := filepath.Base(path)
		if !bytes.Contains(index, []byte("("+name+")")) {
			t.Errorf("README.md does not list %s", name)
		}
		if name != "rules.yaml" && name != "world.yaml" {
			files = append(files, name)
		}
	}
	return files
}

// decodeYAML reads a file of the folder. The file is a template, so that a long value stays readable.
func decodeYAML(t *testing.T, name string, into any) {
	t.Helper()
	file, err := template.New(name).Funcs(template.FuncMap{"repeat": strings.Repeat}).ParseFiles(classFolder + name)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := file.Execute(&text, nil); err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(&text)
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// classRigs are the rigs in which the classes are mounted.
type classRigs struct {
	rigs   map[string]*rig.Rig // by what is special about them
	values map[string]mounted  // what AWS holds, by `secret prod/db@2 of ap-south-1`; the mode is empty
}

func newClassRigs(t *testing.T) *classRigs {
	t.Helper()
	var world awssim.State
	decodeYAML(t, "world.yaml", &world)
	h := &classRigs{rigs: map[string]*rig.Rig{}, values: valuesOf(t, world)}
	for name, o := range map[string]rig.Options{
		"":                                {},
		"AWS_REGION of us-east-1":         {DefaultRegion: "us-east-1"},
		"Pod Identity agent on IPv6 only": {Agent: auth.Agent{IPv4: "http://127.0.0.1:1"}},
	} {
		o.State, o.TLS, o.AWS = world, true, awsclient.Options{MaxAttempts: 1}
		h.rigs[name] = rig.New(t, o)
		populate(t, h.rigs[name])
	}
	return h
}

func (h *classRigs) rig(t *testing.T, name string) *rig.Rig {
	t.Helper()
	r := h.rigs[name]
	if r == nil {
		t.Fatalf("there is no setup %q", name)
	}
	return r
}

// populate creates the ServiceAccounts of the classes. payment-sa exists already.
//
//   - bare-sa has no role annotation. Role bare trusts it and may read secrets.
//   - report-sa has a role that may read secrets.
//   - parameters-only-sa has a role that may read parameters.
//   - identity-sa has a Pod Identity association. Its role may read secrets and assume the role vault.
//   - partner-sa has a role of another account. It may assume the role vault and read nothing.
//
// Role vault may read secrets. It requires the external id payments-7.
func populate(t *testing.T, r *rig.Rig) {
	t.Helper()
	const clusterAccount, vault = "111122223333", "arn:aws:iam::123456789012:role/vault"
	assumeVault := awssim.AllowPolicy(vault, "sts:AssumeRole", "sts:TagSession")
	trust := func(account string) awssim.Document { return r.Issuer.TrustPolicy(rig.Namespace, account) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	annotate := func(account, role string) {
		r.Kube.SetServiceAccount(rig.Namespace, account, map[string]string{rig.RoleAnnotation: role})
	}
	r.Kube.SetServiceAccount(rig.Namespace, "bare-sa", nil)
	must(r.AWS.AddRole(awssim.Role{Name: "bare", TrustPolicy: trust("bare-sa"), Policies: []awssim.Document{rig.ReadSecrets}}))
	annotate("report-sa", "arn:aws:iam::123456789012:role/report")
	must(r.AWS.AddRole(awssim.Role{Name: "report", TrustPolicy: trust("report-sa"), Policies: []awssim.Document{rig.ReadSecrets}}))
	annotate("parameters-only-sa", "arn:aws:iam::123456789012:role/parameters-only")
	must(r.AWS.AddRole(awssim.Role{Name: "selecting", TrustPolicy: trust("selecting-sa"), Policies: []awssim.Document{rig.ReadSecrets, rig.ReadParameters, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["secretsmanager:BatchGetSecretValue","secretsmanager:ListSecrets"],"Resource":"*"},
		{"Effect":"Allow","Action":"ssm:GetParametersByPath","Resource":["arn:aws:ssm:*:*:parameter/payments","arn:aws:ssm:*:*:parameter/ten","arn:aws:ssm:*:*:parameter/none"]},
		{"Effect":"Deny","Action":"secretsmanager:GetSecretValue","Resource":"arn:aws:secretsmanager:*:*:secret:locked/key-*"}]}`}}))
	r.Kube.SetServiceAccount(rig.Namespace, "selecting-sa", map[string]string{rig.RoleAnnotation: "arn:aws:iam::123456789012:role/selecting"})
	must(r.AWS.AddRole(awssim.Role{Name: "parameters-only", TrustPolicy: trust("parameters-only-sa"), Policies: []awssim.Document{rig.ReadParameters}}))
	r.Associate("identity-sa", rig.ReadSecrets, assumeVault)

	partner := "arn:aws:iam::" + clusterAccount + ":role/partner"
	annotate("partner-sa", partner)
	must(r.AWS.AddOIDCProvider(awssim.OIDCProvider{Issuer: r.Issuer.URL(), Account: clusterAccount}))
	partnerTrust := strings.ReplaceAll(string(trust("partner-sa")), "::123456789012:", "::"+clusterAccount+":")
	must(r.AWS.AddRole(awssim.Role{ARN: partner, TrustPolicy: awssim.Document(partnerTrust), Policies: []awssim.Document{assumeVault}}))
	must(r.AWS.AddRole(awssim.Role{Name: "vault", Policies: []awssim.Document{rig.ReadSecrets}, TrustPolicy: awssim.Document(fmt.Sprintf(`{
		"Version": "2012-10-17",
		"Statement": [
			{"Effect": "Allow", "Principal": {"AWS": [%q, "arn:aws:iam::123456789012:role/identity-sa"]}, "Action": "sts:AssumeRole",
				"Condition": {"StringEquals": {"sts:ExternalId": "payments-7"}}},
			{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:role/identity-sa"}, "Action": "sts:TagSession"}
		]
	}`, partner))}))
}

// valuesOf lists the values of a world. It gives each version of a secret an id.
func valuesOf(t *testing.T, world awssim.State) map[string]mounted {
	t.Helper()
	values, contents := map[string]mounted{}, map[string]string{}
	add := func(kind, region, name string, number int, v mounted) {
		key := fmt.Sprintf("%s %s@%d of %s", kind, name, number, region)
		if other := contents[v.Content]; other != "" {
			t.Errorf("world.yaml: %s and %s have the same value", other, key)
		}
		values[key], contents[v.Content] = v, key
	}
	for i := range world.Secrets {
		s := &world.Secrets[i]
		if len(s.Versions) == 0 {
			s.Versions = []awssim.SecretVersion{{ID: fmt.Sprintf("00000000-0000-0000-0000-%012d", i), Value: s.Value, Binary: s.Binary}}
			s.Value, s.Binary = "", nil
		}
		for n, v := range s.Versions {
			add("secret", s.Region, s.Name, n+1, mounted{Content: v.Value + string(v.Binary), Version: v.ID})
		}
	}
	for _, p := range world.Parameters {
		if p.Value != "" {
			p.Versions = []string{p.Value}
		}
		for n, value := range p.Versions {
			add("parameter", p.Region, p.Name, n+1, mounted{Content: value, Version: strconv.Itoa(n + 1)})
		}
	}
	return values
}

func (h *classRigs) check(t *testing.T, row classRow) {
	t.Helper()
	r := h.rig(t, row.Setup)
	for _, f := range row.Faults {
		t.Cleanup(r.AWS.Inject(faultOf(t, f)))
	}
	mount := rig.Mount{
		Objects: row.Objects, Parameters: map[string]string{"region": rig.Region}, ServiceAccount: row.ServiceAccount, Permission: row.Permission,
	}
	maps.Copy(mount.Parameters, row.Parameters)
	maps.DeleteFunc(mount.Parameters, func(_, value string) bool { return value == "" })
	logged := len(r.Logs())
	r.AWS.ResetCalls()
	resp, err := r.Mount(mount)

	refused := ""
	files := map[string]mounted{}
	if err != nil {
		wantFinal(t, err)
		message := strings.TrimPrefix(status.Convert(err).Message(), "SecretProviderClass payments/payment-secrets: ")
		refused = status.Code(err).String() + ": " + normalise(message, r)
	} else {
		dir := t.TempDir()
		if err := csidriver.Write(resp, dir); err != nil {
			t.Fatal(err)
		}
		tree, err := csidriver.Tree(dir)
		if err != nil {
			t.Fatal(err)
		}
		for path, f := range tree {
			files[path] = mounted{Mode: fmt.Sprintf("%04o", f.Mode), Content: f.Content, Version: versions(resp)[path]}
		}
		if ids := slices.Sorted(maps.Keys(versions(resp))); !slices.Equal(ids, slices.Sorted(maps.Keys(files))) {
			t.Errorf("ObjectVersions of %q, want one for each file", ids)
		}
	}
	if diff := gocmp.Diff(row.Refused, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	want := map[string]mounted{}
	for path, text := range row.Files {
		want[path] = h.expect(t, text)
	}
	if diff := gocmp.Diff(want, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(row.Warns, warnings(t, r.Logs()[logged:]), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(row.Calls, r.AWS.Calls()); row.Calls != nil && diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// mounted is a file as a container reads it, with the version that the provider reports.
type mounted struct{ Mode, Content, Version string }

var fileRE = regexp.MustCompile(`(?s)^([0-7]{4}) (?:(secret|parameter) )?(\S+@\d+)(?: of (\S+))?( = .*)?$`)

// madeRE is a file that holds the value of no object.
var madeRE = regexp.MustCompile(`(?s)^([0-7]{4}) version (\S+) =(?: (.*))?$`)

// expect parses `MODE OBJECT@VERSION of REGION = CONTENT` and looks up the value in world.yaml.
func (h *classRigs) expect(t *testing.T, text string) mounted {
	t.Helper()
	if m := madeRE.FindStringSubmatch(text); m != nil {
		return mounted{Mode: m[1], Content: m[3], Version: m[2]}
	}
	m := fileRE.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%q is not a file", text)
	}
	mode, kind, object, region, content := m[1], m[2], m[3], cmp.Or(m[4], rig.Region), m[5]
	var found []mounted
	for _, k := range []string{"secret", "parameter"} {
		v, ok := h.values[k+" "+object+" of "+region]
		if ok && (kind == "" || kind == k) {
			found = append(found, v)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%q names %d values of world.yaml", text, len(found))
	}
	f := found[0]
	f.Mode = mode
	if content != "" {
		f.Content = strings.TrimPrefix(content, " = ")
	}
	return f
}

// faultOf converts a fault from YAML through JSON, which refuses unknown fields.
func faultOf(t *testing.T, fields map[string]any) awssim.Fault {
	t.Helper()
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	var f awssim.Fault
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

var warningRE = regexp.MustCompile(`(?m)^.*level=WARN msg=SecretProviderClass .* warning=("(?:[^"\\]|\\.)*"|\S+)`)

// warnings returns the warnings about SecretProviderClasses in logs.
func warnings(t *testing.T, logs string) []string {
	t.Helper()
	var all []string
	for _, m := range warningRE.FindAllStringSubmatch(logs, -1) {
		text, err := strconv.Unquote(m[1])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}
