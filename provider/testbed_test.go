package provider_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/test/awssim"
)

// account owns all objects in the simulator.
const account = awssim.DefaultAccount

// readAll is a policy that allows both calls on every object.
var readAll = awssim.AllowPolicy("*", "secretsmanager:GetSecretValue", "ssm:GetParameters")

// testbed is a Fetcher in front of the simulator, with the credentials of one of its users.
type testbed struct {
	*awssim.Sim
	t       testing.TB
	fetcher *provider.Fetcher
	user    aws.CredentialsProvider
	mounts  int // first mounts so far
}

// session turns the keys of a user into credentials of an owner.
type session struct{ aws.CredentialsProvider }

func (session) Forget() {}

// maxBytes is what a volume may hold in the tests: the driver's default.
const maxBytes = 4 << 20

// plenty is more memory than a test uses.
func plenty() *bytebudget.Account { return bytebudget.New(1 << 40).Open("test") }

// fetchAs fetches spc as a first mount. Each call has a new volume and a new owner.
func (b *testbed) fetchAs(ctx context.Context, user aws.CredentialsProvider, spc class.Class) ([]provider.File, error) {
	b.mounts++
	name := fmt.Sprint("mount ", b.mounts)
	result, err := b.fetcher.Fetch(ctx, provider.Request{Owner: provider.Owner(name), Volume: name, Class: spc, Credentials: session{user}, MaxBytes: maxBytes, Memory: plenty()})
	return result.Files, err
}

// start starts a testbed for a user with these policies; the default is readAll. It makes one attempt per call.
func start(t testing.TB, state awssim.State, policies ...awssim.Document) *testbed {
	t.Helper()
	return startWith(t, state, awsclient.Options{MaxAttempts: 1}, policies...)
}

func startWith(t testing.TB, state awssim.State, options awsclient.Options, policies ...awssim.Document) *testbed {
	t.Helper()
	if policies == nil {
		policies = []awssim.Document{readAll}
	}
	const key, secretKey = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	state.Users = append(state.Users, awssim.User{Name: "pod", AccessKeyID: key, SecretAccessKey: secretKey, Policies: policies})
	sim, err := awssim.Start(awssim.Config{State: state, Delay: 2 * time.Millisecond}) // see Config.Delay
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": sim.URL(), "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "", "AWS_CA_BUNDLE": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		"AWS_USE_FIPS_ENDPOINT": "", "AWS_USE_DUALSTACK_ENDPOINT": "",
	} {
		t.Setenv(name, value)
	}
	cfg, err := awsclient.Load(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	fetcher, err := provider.New(provider.Config{AWS: cfg, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return &testbed{
		Sim: sim, t: t, fetcher: fetcher,
		user: credentials.NewStaticCredentialsProvider(key, secretKey, ""),
	}
}

// fetch parses objects and fetches them from region.
func (b *testbed) fetch(objects string) ([]provider.File, error) {
	b.t.Helper()
	return b.fetchAs(b.t.Context(), b.user, parse(b.t, objects, nil))
}

// files fetches objects and fails the test if that fails.
func (b *testbed) files(objects string) []provider.File {
	b.t.Helper()
	files, err := b.fetch(objects)
	if err != nil {
		b.t.Fatalf("Fetch: %v", err)
	}
	return files
}

// fetchError fetches objects and returns the error. The test fails if there is none, or if files come with it.
func (b *testbed) fetchError(objects string) *fault.Error {
	b.t.Helper()
	files, err := b.fetch(objects)
	if files != nil {
		b.t.Errorf("files %v beside an error", files)
	}
	var e *fault.Error
	if !errors.As(err, &e) {
		b.t.Fatalf("error %v of type %T, want a *fault.Error", err, err)
	}
	return e
}

// wantCalls fails the test unless exactly these calls were made.
func (b *testbed) wantCalls(want map[string]int) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.Calls()); diff != "" {
		b.t.Errorf("AWS calls (-want +got):\n%s", diff)
	}
}

// contents formats each file as `path = content @ version`.
func contents(files []provider.File) []string {
	var list []string
	for _, f := range files {
		list = append(list, fmt.Sprintf("%s = %s @ %s", f.Path, []byte(f.Content), f.Version))
	}
	return list
}

// wantContents fails the test unless files equals want, formatted by contents, in this order.
func wantContents(t testing.TB, files []provider.File, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, contents(files)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
