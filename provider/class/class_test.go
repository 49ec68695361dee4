package class_test

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
)

func TestParse(t *testing.T) {
	mode := fs.FileMode(0o400)
	got := parse(t, lines(
		"- objectName: prod/db",
		"  objectType: secretsmanager",
		"  objectAlias: db",
		"  objectVersion: 11111111-2222-3333-4444-555555555555",
		"  objectVersionLabel: AWSPREVIOUS",
		"  filePermission: '0400'",
		"  jmesPath:",
		"  - {path: user, objectAlias: db-user}",
		"- objectName: /prod/level",
		"  objectType: ssmparameter",
		"  objectVersion: 3",
	), params{"region": "eu-west-1", "roleArn": "arn:aws:iam::123456789012:role/payment-role"})
	want := class.Class{
		Region:  "eu-west-1",
		RoleARN: "arn:aws:iam::123456789012:role/payment-role",
		Objects: []class.Object{
			{
				Name: "prod/db", Type: class.SecretsManager,
				Version: "11111111-2222-3333-4444-555555555555", Label: "AWSPREVIOUS",
				Files: []class.FileSpec{{Path: "db", Mode: &mode}, {Path: "db-user", Mode: &mode, Expression: "user"}},
			},
			{
				Name: "/prod/level", Type: class.SSMParameter, Version: "3",
				Files: []class.FileSpec{{Path: "_prod_level"}},
			},
		},
	}
	if diff := cmp.Diff(want, got, plain); diff != "" {
		t.Errorf("class (-want +got):\n%s", diff)
	}
}

// The parameter region comes first, then the provider's AWS_REGION, then the node's label, which only auth reads.
func TestK9_ParameterOverridesProviderRegion(t *testing.T) {
	for _, tt := range []struct{ name, parameter, own, want string }{
		{"parameter", "eu-west-1", "us-east-1", "eu-west-1"},
		{"parameter only", "eu-west-1", "", "eu-west-1"},
		{"provider's AWS_REGION", "", "us-east-1", "us-east-1"},
		{"neither: the node's label decides", "", "", ""},
		{"China", "cn-north-1", "", "cn-north-1"},
		{"GovCloud", "us-gov-west-1", "", "us-gov-west-1"},
		{"isolated partition", "us-isob-east-1", "", "us-isob-east-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := class.Parse(params{"objects": secret("a"), "region": tt.parameter}, tt.own)
			if err != nil {
				t.Fatal(err)
			}
			if c.Region != tt.want {
				t.Errorf("region %q, want %q", c.Region, tt.want)
			}
		})
	}
}

// The region becomes part of host names, so Parse refuses every text that could change the host.
func TestK10_InvalidRegionIsRefused(t *testing.T) {
	for _, text := range []string{
		"eu west 1", "EU-WEST-1", "eu-west-1.evil.example", "evil.example/", "eu-west-1#", "eu-west-1@evil", "-eu", "eu-",
		"eu_west_1", " eu-west-1", "eu-west-1\n", "ü", strings.Repeat("a", 64),
	} {
		want := class.Fault{Field: "region", Message: fmt.Sprintf("%q is not the name of an AWS region, such as eu-west-1", text)}
		t.Run(text, func(t *testing.T) {
			wantFaults(t, faults(t, secret("a"), params{"region": text}), want)
		})
		t.Run("node "+text, func(t *testing.T) {
			c, err := class.Parse(params{"objects": secret("a")}, "")
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.InRegion(text)
			wantFaults(t, faultsIn(t, err), want)
		})
	}
}

func TestK9_NodeRegionCompletesTheClass(t *testing.T) {
	objects := secret("arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf") + secret("b")
	c, err := class.Parse(params{"objects": objects}, "")
	if err != nil {
		t.Fatal(err)
	}
	inRegion, err := c.InRegion("eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	want := c
	want.Region = "eu-west-1"
	if diff := cmp.Diff(want, inRegion, plain); diff != "" {
		t.Errorf("class (-want +got):\n%s", diff)
	}
	if c.Region != "" {
		t.Errorf("InRegion changed its receiver: region %q", c.Region)
	}

	_, err = c.InRegion("us-east-1")
	wantFaults(t, faultsIn(t, err), class.Fault{
		Field: "objects[0].objectName", Line: 1, Column: 15,
		Message: `"arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf" is in region eu-west-1, but the volume reads from us-east-1`,
	})
}

func TestK11_PathTranslation(t *testing.T) {
	for _, tt := range []struct{ translation, want string }{
		{"", "_app_db_password"},
		{"_", "_app_db_password"},
		{"-", "-app-db-password"},
		{"0", "0app0db0password"},
		{"False", "app/db/password"},
		{"false", "app/db/password"},
		{"FALSE", "app/db/password"},
		{"fAlSe", "app/db/password"},
		{"ä", "äappädbäpassword"}, // one character of two bytes
		{"·", "·app·db·password"},
		{"🔑", "🔑app🔑db🔑password"},
	} {
		t.Run(tt.translation, func(t *testing.T) {
			wantFiles(t, parse(t, secret("/app/db/password"), params{"pathTranslation": tt.translation}), tt.want)
		})
	}
}

func TestK11_InvalidPathTranslationIsRefused(t *testing.T) {
	for _, text := range []string{"True", "no", "__", "false ", " False", "''", "e\u0301"} {
		wantFaults(t, faults(t, secret("/a"), params{"pathTranslation": text}), class.Fault{
			Field: "pathTranslation", Message: fmt.Sprintf("%q is neither False nor exactly one character", text),
		})
	}
}

// usePodIdentity accepts what Go's ParseBool accepts.
func TestK12_UsePodIdentity(t *testing.T) {
	for _, text := range []string{"", "false", "False", "FALSE", "f", "F", "0"} {
		if parse(t, secret("a"), params{"usePodIdentity": text}).PodIdentity {
			t.Errorf("usePodIdentity %q is on", text)
		}
	}
	for _, text := range []string{"true", "True", "TRUE", "t", "T", "1"} {
		if !parse(t, secret("a"), params{"usePodIdentity": text}).PodIdentity {
			t.Errorf("usePodIdentity %q is off", text)
		}
	}
	for _, text := range []string{"yes", "no", "on", "tRUE", " true", "2"} {
		wantFaults(t, faults(t, secret("a"), params{"usePodIdentity": text}),
			class.Fault{Field: "usePodIdentity", Message: fmt.Sprintf("%q is neither true nor false", text)})
	}
}

// The association sets the role, so roleArn would have no effect.
func TestParameters_PodIdentityRefusesRoleARN(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/payment-role"
	wantFaults(t, faults(t, secret("a"), params{"usePodIdentity": "true", "roleArn": role}), class.Fault{
		Field: "roleArn", Message: "cannot be combined with usePodIdentity, which takes the role from the association: remove one of the two, or set assumeRoleArn to assume another role",
	})
	wantFaults(t, faults(t, secret("a"), params{"usePodIdentity": "false", "roleArn": role}))
}

// preferredAddressType accepts ipv4 and ipv6 in any case. Any other value means auto.
func TestK13_PreferredAddressTypeOfTheClass(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "auto": "", "AUTO": "", "ipv4": "ipv4", "IPv4": "ipv4", "IPV6": "ipv6", "ipv6": "ipv6", "ipv5": "", "ipv4,ipv6": "", "4": "",
	} {
		c := parse(t, secret("a"), params{"preferredAddressType": text})
		if c.AddressType != want {
			t.Errorf("preferredAddressType %q is %q, want %q", text, c.AddressType, want)
		}
		if odd := want == "" && text != "" && !strings.EqualFold(text, "auto"); (len(c.Warnings) == 1) != odd {
			t.Errorf("preferredAddressType %q gives the warnings %q", text, c.Warnings)
		}
	}
}

func TestParameters_AssumeRole(t *testing.T) {
	const role = "arn:aws:iam::210987654321:role/vault"
	for _, id := range []string{"", "id", "a:b/c=d,e.f@g-h_i+j", strings.Repeat("x", 1224)} {
		c := parse(t, secret("a"), params{"assumeRoleArn": role, "externalId": id})
		if c.AssumeRoleARN != role || c.ExternalID != id {
			t.Errorf("externalId %q: role %q and external id %q", id, c.AssumeRoleARN, c.ExternalID)
		}
	}
	for _, id := range []string{"x", "a b", "a\n", "é!", strings.Repeat("x", 1225)} {
		wantFaults(t, faults(t, secret("a"), params{"assumeRoleArn": role, "externalId": id}),
			class.Fault{Field: "externalId", Message: fault.Quote(id) + " is not 2 to 1224 letters, digits or _+=,.@:/-"})
	}
	wantFaults(t, faults(t, secret("a"), params{"externalId": "an id"}), class.Fault{Field: "externalId", Message: "needs assumeRoleArn, which is not set"})
	wantFaults(t, faults(t, secret("a"), params{"assumeRoleArn": "vault"}),
		class.Fault{Field: "assumeRoleArn", Message: `"vault" is not the ARN of an IAM role, such as arn:aws:iam::123456789012:role/payment-role`})
}

func TestClass_Regions(t *testing.T) {
	if got := (class.Class{Region: "a"}).Regions(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("regions %q, want one", got)
	}
	if got := (class.Class{Region: "a", FailoverRegion: "b"}).Regions(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("regions %q, want both in order", got)
	}
}

func TestK15_RoleARN(t *testing.T) {
	for _, arn := range []string{
		"", "arn:aws:iam::123456789012:role/payment-role", "arn:aws:iam::123456789012:role/team/a/b",
		"arn:aws-cn:iam::123456789012:role/r", "arn:aws-us-gov:iam::123456789012:role/r", "arn:aws-iso-b:iam::123456789012:role/r",
	} {
		if c := parse(t, secret("a"), params{"roleArn": arn}); c.RoleARN != arn {
			t.Errorf("role %q, want %q", c.RoleARN, arn)
		}
	}
	for _, arn := range []string{
		"payment-role", "arn:aws:iam::123456789012:user/u", "arn:aws:iam::12345678901:role/r", "arn:aws:iam::123456789012:role/",
		"arn:aws:iam:eu-west-1:123456789012:role/r", "arn:aws:sts::123456789012:assumed-role/r/s", "arn:aws:iam::123456789012:role/r\n",
		"arn:aws:iam::123456789012:role/a b", " arn:aws:iam::123456789012:role/r", "arn:aws:iam::123456789012:role/" + strings.Repeat("r", 577),
	} {
		got := faults(t, secret("a"), params{"roleArn": arn})
		if len(got) != 1 || got[0].Field != "roleArn" || !strings.HasSuffix(got[0].Message, " is not the ARN of an IAM role, such as arn:aws:iam::123456789012:role/payment-role") {
			t.Errorf("roleArn %q: faults %v, want one about the ARN", arn, got)
		}
	}
}

func TestI9_UnknownParametersGiveWarnings(t *testing.T) {
	for _, tt := range []struct {
		parameter string
		want      []string
	}{
		{"regoin", []string{`regoin: is not a known parameter and was ignored (did you mean region?)`}},
		{"Region", []string{`Region: is not a known parameter and was ignored (did you mean region?)`}},
		{"rolearn", []string{`rolearn: is not a known parameter and was ignored (did you mean roleArn?)`}},
		{"object", []string{`object: is not a known parameter and was ignored (did you mean objects?)`}},
		{"usePodIdentities", []string{`usePodIdentities: is not a known parameter and was ignored (did you mean usePodIdentity?)`}},
		{"podIdentity", []string{`podIdentity: is not a known parameter and was ignored (did you mean usePodIdentity?)`}},
		{"enableEKSPodIdentity", []string{`enableEKSPodIdentity: is not a known parameter and was ignored (did you mean usePodIdentity?)`}},
		{"colour", []string{`colour: is not a known parameter and was ignored`}},
		{"a\nb", []string{`"a\nb": is not a known parameter and was ignored`}},
		// Kubernetes and the driver add these.
		{"csi.storage.k8s.io/pod.name", nil},
		{"csi.storage.k8s.io/ephemeral", nil},
		{"secretProviderClass", nil},
		// AWS's provider knows this one too.
		{"pathTranslation", nil},
	} {
		t.Run(tt.parameter, func(t *testing.T) {
			got := warnings(parse(t, secret("a"), params{tt.parameter: "x"}))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestT35_WarningsAreBounded(t *testing.T) {
	p := params{"objects": secret("a")}
	for i := range 1000 {
		p[fmt.Sprintf("unknown-%d", i)] = "x"
	}
	c, err := class.Parse(p, region)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(c.Warnings); n != 50 {
		t.Errorf("%d warnings for a thousand mistakes, want the first 50", n)
	}
}
