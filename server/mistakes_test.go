package server_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/status"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

var update = flag.Bool("update", false, "rewrite testdata/mistakes.golden with the current messages")

// mistake is one mistake of a user. Everything else is correct: the pod of payments/payment-sa mounts in
// ap-south-1, and its role trusts it and may read everything.
type mistake struct {
	title      string
	objects    string            // the parameter `objects`; empty: dbSecret
	parameters map[string]string // override region: ap-south-1; an empty value removes a parameter
	mount      rig.Mount         // the other fields of the mount
	attributes func(map[string]string)
	given      func(*testing.T, *rig.Rig, *rig.Mount)
	ownRig     *rig.Options // for a change that cannot be undone in the shared rig
	same       string       // title of an earlier mistake with the same message
}

// chapter is a section of the golden file.
type chapter struct {
	title    string
	mistakes []mistake
}

const goldenFile = "testdata/mistakes.golden"

const preface = `# Mistakes of users, and the messages of the provider

Each mistake runs against the whole server (the provider on its socket, a strict AWS simulator, a Kubernetes
API). Below its title are the gRPC code and the message of Mount, as "kubectl describe pod" shows them in the
event FailedMount. Request ids, ports, times and the cluster's issuer are replaced.
Written by: go test ./server -run TestMistakes -update
`

// maxEvent is the maximum length of a message. Kubernetes cuts an event at 1024 bytes, and the kubelet and the
// driver add their own text before the message.
const maxEvent = 760

func TestMistakes(t *testing.T) {
	var got strings.Builder
	got.WriteString(preface)
	shared := rig.New(t, mistakeOptions(rig.Options{}))
	seen := map[string]string{} // message → title of the first mistake with it
	listed, made := 0, 0
	for _, c := range []chapter{objectMistakes(), fileMistakes(), languageMistakes(), parameterMistakes(), valueMistakes(), permissionMistakes(), trustMistakes(), accountMistakes(), clusterMistakes(), podIdentityMistakes(), secondRoleMistakes(), networkMistakes()} {
		fmt.Fprintf(&got, "\n## %s\n", c.title)
		for _, m := range c.mistakes {
			listed++
			t.Run(m.title, func(t *testing.T) {
				made++
				code, message := m.make(t, shared)
				fmt.Fprintf(&got, "\n### %s\n%s: %s\n", m.title, code, message)
				if first := seen[message]; first != m.same {
					t.Errorf("has the message of %q, want that of %q (empty: a new message): %s", first, m.same, message)
				}
				if m.same == "" {
					seen[message] = m.title
				}
				if len(message) > maxEvent && !strings.Contains(m.title, "mistakes at once") { // several mistakes at once
					t.Errorf("%d bytes are cut in an event: %s", len(message), message)
				}
			})
		}
	}
	if listed < 45 {
		t.Errorf("%d mistakes, want at least 45", listed)
	}
	if made < listed { // because of -run
		t.Skipf("only %d of %d mistakes ran, so the golden file is not compared", made, listed)
	}
	if *update {
		if err := os.WriteFile(goldenFile, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("messages differ from %s (if the new ones are better: go test ./server -run TestMistakes -update); -file +now:\n%s", goldenFile, diff)
	}
}

// make makes the mistake and returns the code and message of Mount.
func (m mistake) make(t *testing.T, shared *rig.Rig) (code, message string) {
	t.Helper()
	r := shared
	if m.ownRig != nil {
		r = rig.New(t, mistakeOptions(*m.ownRig))
	}
	mount := m.mount
	mount.Objects = m.objects
	if mount.Objects == "" {
		mount.Objects = dbSecret
	}
	mount.Parameters = map[string]string{"region": rig.Region}
	maps.Copy(mount.Parameters, m.parameters)
	maps.DeleteFunc(mount.Parameters, func(_, v string) bool { return v == "" })
	if m.given != nil {
		m.given(t, r, &mount)
	}
	req := r.Request(mount)
	if m.attributes != nil {
		editAttributes(t, req, m.attributes)
	}
	resp, err := r.Client.Mount(t.Context(), req)
	if err == nil {
		t.Fatalf("the mount succeeded with %d files", len(resp.GetFiles()))
	}
	wantFinal(t, err)
	return status.Code(err).String(), normalise(status.Convert(err).Message(), r)
}

// mistakeOptions completes o with the options of every rig here. AWS uses TLS because issuers have https URLs.
func mistakeOptions(o rig.Options) rig.Options {
	o.State, o.TLS = mistakesWorld(), true
	o.AWS = awsclient.Options{MaxAttempts: 1, AttemptTimeout: 2 * time.Second}
	return o
}

var replacements = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\[request id [^\]]+\]`), "[request id REQUEST-ID]"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`date/time \d+`), "date/time SECONDS"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`assumed-role/([a-z-]+)/eks-prod-[0-9a-z-]+`), "assumed-role/$1/eks-prod-POD-ID"},
}

// normalise replaces the parts of a message that differ from run to run.
func normalise(message string, r *rig.Rig) string {
	issuer := strings.TrimSuffix(r.Issuer.ConditionKey("sub"), ":sub")
	message = strings.ReplaceAll(message, issuer, "oidc.eks.ap-south-1.amazonaws.com/id/EXAMPLE")
	for _, replacement := range replacements {
		message = replacement.pattern.ReplaceAllString(message, replacement.by)
	}
	return message
}

// mistakesWorld is the content of AWS.
func mistakesWorld() awssim.State {
	return awssim.State{
		Secrets: []awssim.Secret{
			{Region: rig.Region, Name: "prod/db", Suffix: "AbCdEf", Versions: []awssim.SecretVersion{
				{ID: "11111111-1111-1111-1111-111111111111", Value: `{"user":"app","password":"old"}`},
				{ID: "22222222-2222-2222-2222-222222222222", Value: `{"user":"app","password":"hunter2","port":5432,"hosts":["a","b"]}`},
			}},
			{Region: rig.Region, Name: "prod/text", Suffix: "AbCdEf", Value: "not JSON"},
			{Region: rig.Region, Name: "prod/empty", Suffix: "AbCdEf"},
			{Region: failoverRegion, Name: "prod/db", Suffix: "GhIjKl", Value: `{"user":"app","password":"hunter2"}`},
			{Region: failoverRegion, Name: "prod/elsewhere", Suffix: "AbCdEf", Value: "x"},
		},
		Parameters: []awssim.Parameter{
			{Region: rig.Region, Name: "/prod/url", Versions: []string{"https://old.example.com", "https://example.com"}, Labels: map[string]int64{"live": 1}},
			{Region: rig.Region, Name: "/prod/key", Type: "SecureString", Value: "s3cret"},
		},
	}
}
