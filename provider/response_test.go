package provider_test

import (
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
