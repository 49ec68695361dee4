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

// account is the one that owns everything in the simulator.
const account = awssim.DefaultAccount

// readAll is the policy of a role that may read everything, by the two calls there are.
var readAll = awssim.AllowPolicy("*", "secretsmanager:GetSecretValue", "ssm:GetParameters")

// bed is a Fetcher in front of the simulator, and credentials of a user of it.
type bed struct {
	*awssim.Sim
	t       testing.TB
	fetcher *provider.Fetcher
	user    aws.CredentialsProvider
	mounts  int // made so far
}

// session makes a user's keys the credentials of an owner.
type session struct{ aws.CredentialsProvider }

func (session) Forget() {}

// maxBytes is what a volume may hold in the tests: the driver's default.
const maxBytes = 4 << 20

// plenty is more memory than a test uses.
func plenty() *bytebudget.Account { return bytebudget.New(1 << 40).Open("test") }

// fetchAs is a first mount of a volume that nobody has seen, by an owner of its own.
func (b *bed) fetchAs(ctx context.Context, user aws.CredentialsProvider, spc class.Class) ([]provider.File, error) {
	b.mounts++
	name := fmt.Sprint("mount ", b.mounts)
	result, err := b.fetcher.Fetch(ctx, provider.Request{Owner: provider.Owner(name), Volume: name, Class: spc, Credentials: session{user}, MaxBytes: maxBytes, Memory: plenty()})
	return result.Files, err
}

// start starts a bed for a user with these policies: readAll where there are none. A failed
// attempt is not repeated.
func start(t testing.TB, state awssim.State, policies ...awssim.Document) *bed {
	t.Helper()
	return startWith(t, state, awsclient.Options{MaxAttempts: 1}, policies...)
}

func startWith(t testing.TB, state awssim.State, options awsclient.Options, policies ...awssim.Document) *bed {
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
	return &bed{
		Sim: sim, t: t, fetcher: fetcher,
		user: credentials.NewStaticCredentialsProvider(key, secretKey, ""),
	}
}

// fetch parses objects and fetches them in the tests' region.
func (b *bed) fetch(objects string) ([]provider.File, error) {
	b.t.Helper()
	return b.fetchAs(b.t.Context(), b.user, parse(b.t, objects, nil))
}

// files fetches what must be there.
func (b *bed) files(objects string) []provider.File {
	b.t.Helper()
	files, err := b.fetch(objects)
	if err != nil {
		b.t.Fatalf("Fetch: %v", err)
	}
	return files
}

// refuse fetches what must fail, and gives the error with its parts. No file may come with it.
func (b *bed) refuse(objects string) *fault.Error {
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
func (b *bed) wantCalls(want map[string]int) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.Calls()); diff != "" {
		b.t.Errorf("AWS calls (-want +got):\n%s", diff)
	}
}

// contents shows files in short: `path = content @ version`.
func contents(files []provider.File) []string {
	var list []string
	for _, f := range files {
		list = append(list, fmt.Sprintf("%s = %s @ %s", f.Path, []byte(f.Content), f.Version))
	}
	return list
}

// wantContents fails the test unless the files are exactly these, in this order.
func wantContents(t testing.TB, files []provider.File, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, contents(files)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
