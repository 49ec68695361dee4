package provider_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider"
)

// A value is never visible when it is printed, logged or marshalled, alone or inside another value.
func TestD18_ContentIsNeverPrinted(t *testing.T) {
	const value = "hunter2-hunter2"
	content := provider.Content(value)
	file := provider.File{Path: "db", Content: content, Version: "1"}
	for name, v := range map[string]any{
		"content": content, "pointer": &content, "file": file, "files": []provider.File{file}, "pointer to a file": &file,
		"map": map[string]provider.Content{"db": content}, "error": fmt.Errorf("read %v", content),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%U", "%o", "%t", "%08.3f"} {
			checkHidden(t, name+" by "+verb, fmt.Sprintf(verb, v))
		}
		marshalled, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		checkHidden(t, name+" in JSON", string(marshalled))
		for _, handler := range []func(*bytes.Buffer) slog.Handler{
			func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var logs bytes.Buffer
			slog.New(handler(&logs)).Info("mount", "value", v)
			checkHidden(t, name+" in a log", logs.String())
		}
	}
	if got := fmt.Sprintf("%v", content); got != "[redacted]" {
		t.Errorf("prints as %q, want [redacted]", got)
	}
}

// checkHidden fails the test if shown contains the value as text, base64, hexadecimal or a list of numbers.
func checkHidden(t *testing.T, where, shown string) {
	t.Helper()
	for _, form := range []string{"hunter2", "aHVudGVyMi", "68756e746572", "68756E746572", "104 117 110", "104, 117", "0x68", "U+0068"} {
		if strings.Contains(shown, form) {
			t.Errorf("%s: shows %s", where, shown)
		}
	}
}

// A response without a value must not become an empty file.
func TestFetch_ResponseWithoutValueFails(t *testing.T) {
	for _, body := range []string{`{}`, ``, `{"VersionId":"1","Name":"db"}`, `{"Parameters":[{"Name":"level","Version":1}]}`} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		t.Setenv("AWS_ENDPOINT_URL", server.URL)
		t.Setenv("AWS_CONFIG_FILE", "/dev/null")
		cfg, err := awsclient.Load(t.Context(), awsclient.Options{MaxAttempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		objects, what := secret("db"), `secret "db"`
		if strings.Contains(body, "Parameters") {
			objects, what = object("level", "ssmparameter"), `parameter "level"`
		}
		fetcher, err := provider.New(provider.Config{AWS: cfg, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		b := &testbed{t: t, fetcher: fetcher}
		files, err := b.fetchAs(t.Context(), credentials.NewStaticCredentialsProvider("a", "b", ""), parse(t, objects, nil))
		if files != nil {
			t.Errorf("response %s: files %v, want none", body, files)
		}
		wantError(t, err, fault.Transient, "cannot read "+what+" in ap-south-1: the response holds no value: is a proxy in between?")
	}
}
