package conformance_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// backend is an AWS that the provider mounts from. The tests create its content through the AWS SDK, as a user
// does.
type backend struct {
	*rig.Rig
	secrets    *secretsmanager.Client
	parameters *ssm.Client
}

func newBackend(t *testing.T, r *rig.Rig, endpoint string) backend {
	t.Helper()
	cfg := aws.Config{
		Region: rig.Region, BaseEndpoint: aws.String(endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(admin.AccessKeyID, admin.SecretAccessKey, ""),
	}
	return backend{r, secretsmanager.NewFromConfig(cfg), ssm.NewFromConfig(cfg)}
}

var admin = awssim.User{
	Name: "admin", AccessKeyID: "AKIAEXAMPLEEXAMPLE00", SecretAccessKey: "admin",
	Policies: []awssim.Document{awssim.AllowPolicy("*", "secretsmanager:*", "ssm:*")},
}

func TestClientsAgainstOurSimulator(t *testing.T) {
	r := rig.New(t, rig.Options{State: awssim.State{Users: []awssim.User{admin}}})
	testClients(t, newBackend(t, r, r.AWS.URL()))
	if got := r.AWS.Calls()["ssm:GetParameters"]; got != 8 {
		t.Errorf("%d calls of GetParameters, want 8: one for two, two for eleven, two for two versions of one, three for missing ones", got)
	}
}

// Moto checks no token and no policy, returns 404 instead of 400 for a missing secret, accepts no ARN in
// GetParameters and leaves Selector empty. The tests depend on none of these.
func TestClientsAgainstMoto(t *testing.T) {
	url := startMoto(t)
	testClients(t, newBackend(t, rig.New(t, rig.Options{Endpoint: url}), url))
}

// testClients tests the provider's clients of Secrets Manager and Parameter Store with any AWS.
func testClients(t *testing.T, b backend) {
	t.Helper()
	text := b.createSecret(t, "app/db", &secretsmanager.CreateSecretInput{SecretString: aws.String(`{"user":"app","port":5432}`)})
	b.createSecret(t, "app/key", &secretsmanager.CreateSecretInput{SecretBinary: []byte{0, 0xff, 1}})
	b.putParameter(t, "/app/url", "https://v1", ssmtypes.ParameterTypeString)
	b.putParameter(t, "/app/pin", "s3cret", ssmtypes.ParameterTypeSecureString)
	for i := range 11 {
		b.putParameter(t, fmt.Sprintf("/many/%02d", i), fmt.Sprintf("value %d", i), ssmtypes.ParameterTypeString)
	}

	t.Run("secrets", func(t *testing.T) {
		resp := b.mount(t, `
- {objectName: app/db, objectType: secretsmanager, jmesPath: [{path: port, objectAlias: port}]}
- {objectName: app/key, objectType: secretsmanager}
- {objectName: '`+text.arn+`', objectAlias: by-arn}`)
		wantContents(t, resp, map[string]string{
			"app_db": `{"user":"app","port":5432}`, "port": "5432", "app_key": "\x00\xff\x01", "by-arn": `{"user":"app","port":5432}`,
		})
		for _, v := range resp.GetObjectVersion() {
			if v.GetId() != "app_key" && v.GetVersion() != text.version {
				t.Errorf("%s has version %s, want the VersionId %s", v.GetId(), v.GetVersion(), text.version)
			}
		}
	})
	t.Run("versions of a secret", func(t *testing.T) {
		_, err := b.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("app/db"), SecretString: aws.String("new")})
		must(t, err)
		wantContents(t, b.mount(t, `
- {objectName: app/db, objectType: secretsmanager}
- {objectName: app/db, objectType: secretsmanager, objectAlias: pinned, objectVersion: `+text.version+`}
- {objectName: app/db, objectType: secretsmanager, objectAlias: previous, objectVersionLabel: AWSPREVIOUS}
- {objectName: app/db, objectType: secretsmanager, objectAlias: both, objectVersion: `+text.version+`, objectVersionLabel: AWSPREVIOUS}`),
			map[string]string{"app_db": "new", "pinned": `{"user":"app","port":5432}`, "previous": `{"user":"app","port":5432}`, "both": `{"user":"app","port":5432}`})
	})
	t.Run("parameters", func(t *testing.T) {
		resp := b.mount(t, "- {objectName: /app/url, objectType: ssmparameter}\n- {objectName: /app/pin, objectType: ssmparameter}")
		wantContents(t, resp, map[string]string{"_app_url": "https://v1", "_app_pin": "s3cret"})
		for _, v := range resp.GetObjectVersion() {
			if v.GetVersion() != "1" {
				t.Errorf("%s has version %s, want 1", v.GetId(), v.GetVersion())
			}
		}
	})
	t.Run("more parameters than one call takes", func(t *testing.T) {
		var objects strings.Builder
		want := map[string]string{}
		for i := range 11 {
			fmt.Fprintf(&objects, "- {objectName: /many/%02d, objectType: ssmparameter}\n", i)
			want[fmt.Sprintf("_many_%02d", i)] = fmt.Sprintf("value %d", i)
		}
		wantContents(t, b.mount(t, objects.String()), want)
	})
	t.Run("versions of a parameter", func(t *testing.T) {
		b.putParameter(t, "/app/url", "https://v2", ssmtypes.ParameterTypeString)
		_, err := b.parameters.LabelParameterVersion(t.Context(), &ssm.LabelParameterVersionInput{Name: aws.String("/app/url"), ParameterVersion: aws.Int64(1), Labels: []string{"live"}})
		must(t, err)
		wantContents(t, b.mount(t, `
- {objectName: /app/url, objectType: ssmparameter, objectAlias: one, objectVersion: 1}
- {objectName: /app/url, objectType: ssmparameter, objectAlias: live, objectVersionLabel: live}`),
			map[string]string{"one": "https://v1", "live": "https://v1"})
	})
	t.Run("missing objects", func(t *testing.T) {
		for objects, want := range map[string]string{
			"- {objectName: app/none, objectType: secretsmanager}":                         `cannot read secret "app/none" in ap-south-1: ResourceNotFoundException: `,
			"- {objectName: app/db, objectType: secretsmanager, objectVersionLabel: NONE}": `cannot read secret "app/db" label "NONE" in ap-south-1: ResourceNotFoundException: `,
			"- {objectName: /app/none, objectType: ssmparameter}":                          `cannot read parameter "/app/none" in ap-south-1: `,
			"- {objectName: /app/url, objectType: ssmparameter, objectVersion: 99}":        `cannot read parameter "/app/url" version "99" in ap-south-1: `,
			dbAndNone: `cannot read parameter "/app/none" in ap-south-1: `, // all or nothing
		} {
			resp, err := b.Mount(rig.Mount{Parameters: map[string]string{"region": rig.Region}, Objects: objects})
			if status.Code(err) != codes.NotFound || len(resp.GetFiles()) != 0 || !strings.Contains(status.Convert(err).Message(), want) {
				t.Errorf("%s: got %d files and %v, want NotFound with %q", objects, len(resp.GetFiles()), err, want)
			}
		}
	})
}

const dbAndNone = "- {objectName: app/db, objectType: secretsmanager}\n- {objectName: /app/none, objectType: ssmparameter}"

// created is a secret's ARN and the VersionId of its value.
type created struct{ arn, version string }

func (b backend) createSecret(t *testing.T, name string, in *secretsmanager.CreateSecretInput) created {
	t.Helper()
	in.Name = aws.String(name)
	out, err := b.secrets.CreateSecret(t.Context(), in)
	must(t, err)
	return created{aws.ToString(out.ARN), aws.ToString(out.VersionId)}
}

func (b backend) putParameter(t *testing.T, name, value string, kind ssmtypes.ParameterType) {
	t.Helper()
	_, err := b.parameters.PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String(name), Value: aws.String(value), Type: kind, Overwrite: aws.Bool(true),
	})
	must(t, err)
}

func (b backend) mount(t *testing.T, objects string) *v1alpha1.MountResponse {
	t.Helper()
	return mount(t, b.Rig, objects, nil, "")
}

func wantContents(t *testing.T, resp *v1alpha1.MountResponse, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, f := range resp.GetFiles() {
		got[f.GetPath()] = string(f.GetContents())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
