package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// canaries are strings that may appear in a file of the volume, but in no log and no message. The name says where
// each one is planted.
var canaries = map[string]string{
	"secret value":            "canary-Secr3t-value-1a2b",
	"key of a JSON value":     "canary-json-key-3c4d",
	"text after the JSON":     "canary-not-json-5e6f",
	"binary secret":           "canary-binary-7g8h",
	"parameter value":         "canary-Param3ter-9i0j",
	"nodePublishSecretRef":    "canary-publish-ref-1k2l",
	"token of another pod":    "canary-foreign-token-3m4n",
	"a number in the JSON":    "90210314159265",
	"deep in the JSON":        "canary-deep-5o6p",
	"version of yesterday":    "canary-previous-7q8r",
	"token that is rubbish":   "canary-rubbish-token-9s0t",
	"agent's broken response": "canary-agent-answer-1u2v",
}

var canaryWorld = awssim.State{
	Secrets: []awssim.Secret{
		{Region: rig.Region, Name: "text", Versions: []awssim.SecretVersion{{Value: canaries["version of yesterday"]}, {Value: canaries["secret value"]}}},
		{Region: rig.Region, Name: "json", Value: fmt.Sprintf(`{%q:1,"number":%s,"deep":{"list":[%q]},"password":%q}`,
			canaries["key of a JSON value"], canaries["a number in the JSON"], canaries["deep in the JSON"], canaries["secret value"])},
		{Region: rig.Region, Name: "nearly-json", Value: `{"a":1} ` + canaries["text after the JSON"]},
		{Region: rig.Region, Name: "binary", Binary: []byte(canaries["binary secret"] + "\x00\xff")},
	},
	Parameters: []awssim.Parameter{{Region: rig.Region, Name: "parameter", Type: "SecureString", Value: canaries["parameter value"]}},
}

// canaryObjects are volumes by name: two that mount, and one for each failure that involves a value.
var canaryObjects = map[string]string{
	"everything": `
- {objectName: text, objectType: secretsmanager}
- {objectName: binary, objectType: secretsmanager}
- {objectName: nearly-json, objectType: secretsmanager}
- {objectName: parameter, objectType: ssmparameter}
- objectName: json
  objectType: secretsmanager
  jmesPath: [{path: password, objectAlias: password}, {path: number, objectAlias: number}, {path: deep, objectAlias: deep}]
`,
	"not JSON":        jmes("text", "user"),
	"nearly JSON":     jmes("nearly-json", "a"),
	"binary as JSON":  jmes("binary", "a"),
	"no such key":     jmes("json", "nothing"),
	"wrong type":      jmes("json", "sum(deep.list)"),
	"wrong function":  jmes("json", "abs(password)"),
	"bad comparison":  jmes("json", "keys(password)"),
	"to_number fails": jmes("json", "to_number(password)"),
	"join of numbers": jmes("json", "join(`,`, deep)"),
	"no such version": "- {objectName: text, objectType: secretsmanager, objectVersion: 00000000-0000-0000-0000-000000000000}",
	"too many faults": "- {objectName: text}\n- {objectName: json, objectType: ssm}\n- null",
	"unknown fields":  "- {objectName: text, objectType: secretsmanager, value: x, secret: y}",
	"parameter's":     "- {objectName: parameter, objectType: ssmparameter, jmesPath: [{path: a, objectAlias: b}]}",
}

func jmes(secret, path string) string {
	return fmt.Sprintf("- {objectName: %s, objectType: secretsmanager, jmesPath: [{path: %q, objectAlias: out}]}", secret, path)
}

// No log, no error and no trace contains a secret value, token or credential, for any result of a mount.
func TestD18_NothingSecretInLogsAndErrors(t *testing.T) {
	wire := newWiretap(t)
	collector, tracer := collectTraces(t, true)
	r := allOperationsRig(t, rig.Options{
		Tracer: tracer, State: canaryWorld, Endpoint: wire.url, AWS: awsclient.Options{MaxAttempts: 1, AttemptTimeout: 2 * time.Second},
		Agent: auth.Agent{IPv4: wire.agent, Timeout: 2 * time.Second},
	})
	wire.target.Store(r.AWS)
	var (
		said  strings.Builder // every error, printed in every form
		files strings.Builder // the content of every file
		sent  []string        // every token
	)
	mount := func(req *v1alpha1.MountRequest) error {
		sent = append(sent, tokensIn(t, req)...)
		resp, err := r.Client.Mount(t.Context(), req)
		for _, f := range resp.GetFiles() {
			files.Write(f.GetContents())
		}
		if err != nil {
			say(&said, err)
			say(&said, status.Convert(err).Details())
		}
		return err
	}
	request := func(objects, operation string) *v1alpha1.MountRequest {
		req := r.Request(rig.Mount{Parameters: calling(operation), Objects: objects})
		req.Secrets = `{"password":"` + canaries["nodePublishSecretRef"] + `"}`
		return req
	}
	for name, objects := range canaryObjects {
		if err := mount(request(objects, getSecret)); (err == nil) != (name == "everything" || name == "unknown fields") {
			t.Errorf("%s: %v", name, err)
		}
	}
	everything := canaryObjects["everything"]
	for _, operation := range operations {
		if err := mount(request(everything, operation)); err != nil {
			t.Errorf("with %s: %v", operation, err)
		}
		for _, f := range []awssim.Fault{{Code: "AccessDeniedException"}, {Code: "ValidationException"}, {Status: 500}, {Cut: true}, {Hang: true}} {
			remove := r.AWS.Inject(fault(operation, f))
			if mount(request(everything, operation)) == nil {
				t.Errorf("%s with %+v succeeded", operation, f)
			}
			remove()
		}
	}
	for name, respond := range hostileAgents() {
		wire.instead.Store(&respond)
		if mount(request(everything, agentCredentials)) == nil {
			t.Errorf("with %s from the agent the mount succeeded", name)
		}
	}
	for name, spoil := range spoiledRequests(r) {
		req := request(everything, getSecret)
		spoil(req)
		if mount(req) == nil {
			t.Errorf("%s: the mount succeeded", name)
		}
	}

	// Check that the test was effective: the canaries were in files or in requests.
	for _, name := range []string{"secret value", "key of a JSON value", "text after the JSON", "binary secret", "parameter value", "a number in the JSON", "deep in the JSON"} {
		if !strings.Contains(files.String(), canaries[name]) {
			t.Errorf("%s: the canary is in no file, so the test proves nothing", name)
		}
	}
	if len(sent) < 30 {
		t.Errorf("only %d tokens were seen in requests", len(sent))
	}
	hidden := map[string]string{}
	for name, canary := range canaries {
		hidden[name] = canary
	}
	for i, token := range sent {
		for j, part := range strings.Split(token, ".") { // header, claims, signature
			if j != 0 { // the header is not a secret
				hidden[fmt.Sprintf("part %d of token %d", j, i)] = part
			}
		}
	}
	for i, text := range wire.credentials() {
		hidden[fmt.Sprintf("credential %d", i)] = text
	}
	if n := len(wire.credentials()); n < 3*20 { // key id, secret key and session token of each session
		t.Errorf("only %d credentials went over the wire", n)
	}
	export(t, tracer)
	if traces := len(collector.Traces()); traces < 30 {
		t.Errorf("only %d mounts were traced", traces)
	}
	all := r.Logs() + said.String() + string(collector.Raw())
	if lines := strings.Count(r.Logs(), "msg=mount"); lines < 30 {
		t.Errorf("only %d mounts are in the log: %s", lines, r.Logs())
	}
	for _, line := range []string{"mount request", "identity", "credentials", "AWS call", "volume", "value"} { // at debug
		if !strings.Contains(r.Logs(), "msg="+line+" ") && !strings.Contains(r.Logs(), fmt.Sprintf("msg=%q ", line)) {
			t.Errorf("no line %q in the log, the test shows nothing of it", line)
		}
	}
	for name, text := range hidden {
		if len(text) >= 8 && strings.Contains(all, text) {
			t.Errorf("%s shows: ...%s", name, around(all, text))
		}
	}
}

// hostileAgents respond with the token that they received, or with malformed credentials.
func hostileAgents() map[string]http.HandlerFunc {
	canary := canaries["agent's broken response"]
	return map[string]http.HandlerFunc{
		"the token back": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no: "+r.Header.Get("Authorization"), http.StatusBadRequest)
		},
		"the token's parts back": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, strings.ReplaceAll(r.Header.Get("Authorization"), ".", "\n"), http.StatusInternalServerError)
		},
		"no JSON":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, canary) },
		"another type": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, `{"Expiration":%q}`, canary) },
		"no end": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q}`, canary, canary, canary)
		},
	}
}

// wiretap stands between the provider and AWS, the Pod Identity agent included, and remembers the credentials
// that are given out.
type wiretap struct {
	url     string // of AWS
	agent   string // of the agent
	target  atomic.Pointer[awssim.Sim]
	instead atomic.Pointer[http.HandlerFunc] // replaces the agent when it is set

	mu   sync.Mutex
	seen []string
}

// credentialElements finds credentials in STS's XML and in the agent's JSON.
var credentialElements = regexp.MustCompile(`[<"](?:AccessKeyId|SecretAccessKey|SessionToken|Token)(?:>|":")([^<"]+)[<"]`)

func newWiretap(t *testing.T) *wiretap {
	t.Helper()
	w := &wiretap{}
	aws := w.tap(t, (*awssim.Sim).URL)
	agent := w.tap(t, (*awssim.Sim).PodIdentityURL)
	w.url = serveHTTP(t, aws)
	w.agent = serveHTTP(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if instead := w.instead.Load(); instead != nil {
			(*instead)(rw, r)
			return
		}
		agent.ServeHTTP(rw, r)
	}))
	return w
}

func serveHTTP(t *testing.T, h http.Handler) (url string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// tap returns a proxy to one address of the target. It records every credential.
func (w *wiretap) tap(t *testing.T, address func(*awssim.Sim) string) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			target, err := url.Parse(address(w.target.Load()))
			if err != nil {
				t.Error(err)
				return
			}
			p.SetURL(target)
			p.Out.Host = p.In.Host // the signature covers it
		},
		ModifyResponse: func(resp *http.Response) error {
			body, err := io.ReadAll(resp.Body)
			resp.Body = io.NopCloser(bytes.NewReader(body))
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, match := range credentialElements.FindAllSubmatch(body, -1) {
				w.seen = append(w.seen, string(match[1]))
			}
			return err
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // closes the connection, as AWS did
	}
}

func (w *wiretap) credentials() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// spoiledRequests are requests that fail before any read. Each contains a canary.
func spoiledRequests(r *rig.Rig) map[string]func(*v1alpha1.MountRequest) {
	withTokens := func(text string) func(*v1alpha1.MountRequest) {
		return func(q *v1alpha1.MountRequest) {
			var attributes map[string]string
			if json.Unmarshal([]byte(q.GetAttributes()), &attributes) != nil {
				return
			}
			attributes["csi.storage.k8s.io/serviceAccount.tokens"] = text
			out, _ := json.Marshal(attributes)
			q.Attributes = string(out)
		}
	}
	quoted := func(token string) string { return fmt.Sprintf(`{"sts.amazonaws.com":{"token":%q}}`, token) }
	foreign := r.Token(awssim.Token{Namespace: "other", ServiceAccount: "other", Claims: map[string]any{"jti": canaries["token of another pod"]}})
	expired := r.Token(awssim.Token{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, TTL: -time.Hour})
	return map[string]func(*v1alpha1.MountRequest){
		"tokens are no JSON":      withTokens(canaries["token that is rubbish"]),
		"token is no JWT":         withTokens(quoted(canaries["token that is rubbish"])),
		"token with rubbish":      withTokens(quoted("a." + canaries["token that is rubbish"] + ".c")),
		"token of another":        withTokens(quoted(foreign)),
		"token that expired":      withTokens(quoted(expired)),
		"signature of nobody":     withTokens(quoted(expired[:len(expired)-40] + strings.Repeat("A", 40))),
		"attributes are no JSON":  func(q *v1alpha1.MountRequest) { q.Attributes += canaries["token that is rubbish"] },
		"secrets are no JSON":     func(q *v1alpha1.MountRequest) { withTokens("")(q); q.Secrets += canaries["nodePublishSecretRef"] },
		"permission is no number": func(q *v1alpha1.MountRequest) { q.Permission = "rw" },
	}
}

func tokensIn(t *testing.T, req *v1alpha1.MountRequest) []string {
	t.Helper()
	var attributes map[string]string
	var byAudience map[string]struct{ Token string }
	if json.Unmarshal([]byte(req.GetAttributes()), &attributes) != nil ||
		json.Unmarshal([]byte(attributes["csi.storage.k8s.io/serviceAccount.tokens"]), &byAudience) != nil {
		return nil
	}
	var tokens []string
	for _, token := range byAudience {
		tokens = append(tokens, token.Token)
	}
	return tokens
}

// around returns the context of text in all, without text itself, because the output of a failed test is a log too.
func around(all, text string) string {
	at := strings.Index(all, text)
	return strings.ReplaceAll(all[max(0, at-120):min(len(all), at+len(text)+40)], text, "<HERE>")
}

// say writes v with every general verb of fmt, as JSON and as a log attribute.
func say(w *strings.Builder, v any) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(w, verb+"\n", v)
	}
	text, _ := json.Marshal(v)
	w.Write(text)
	slog.New(slog.NewTextHandler(w, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(w, nil)).Info("x", "v", v)
}

// Types that hold secrets hide them with every verb and inside every other type.
func TestD18_NothingSecretInPrintedTypes(t *testing.T) {
	const canary = "canary-of-a-type"
	tokens, err := auth.ParseTokens(`{"sts.amazonaws.com":{"token":"` + canary + `"}}`)
	if err != nil {
		t.Fatal(err)
	}
	if len(tokens) != 1 {
		t.Fatal("the token was not parsed, so the test proves nothing")
	}
	file := provider.File{Path: "p", Content: provider.Content(canary)}
	for name, v := range map[string]any{
		"content":        file.Content,
		"file":           file,
		"files":          []provider.File{file},
		"map of files":   map[string]provider.File{"f": file},
		"token":          tokens["sts.amazonaws.com"],
		"tokens":         tokens,
		"map of token":   map[string]auth.Token{"t": tokens["sts.amazonaws.com"]},
		"error of token": errors.Join(fmt.Errorf("%v", tokens)),
	} {
		var said strings.Builder
		say(&said, v)
		for form, text := range map[string]string{
			"as it is": canary, "in hexadecimal": fmt.Sprintf("%x", canary), "in HEXADECIMAL": fmt.Sprintf("%X", canary),
			"as bytes": strings.Trim(fmt.Sprintf("%d", []byte(canary)), "[]"), "in base64": "Y2FuYXJ5LW9mLWEtdHlwZ",
		} {
			if strings.Contains(said.String(), text) {
				t.Errorf("%s shows %s: ...%s", name, form, around(said.String(), text))
			}
		}
		if !strings.Contains(said.String(), "[redacted]") {
			t.Errorf("%s does not show [redacted]: %s", name, said.String())
		}
	}
}
