package class_test

import (
	"fmt"
	"strings"
	"testing"

	"secrets-provider-aws/provider/class"
)

const (
	secretARN    = "arn:aws:secretsmanager:ap-south-1:123456789012:secret:prod/db-AbCdEf"
	parameterARN = "arn:aws:ssm:ap-south-1:123456789012:parameter/prod/level"
)

// object parses one entry of a name and, where not empty, a type.
func object(name, kind string) string {
	text := "- objectName: " + name + "\n"
	if kind != "" {
		text += "  objectType: " + kind + "\n"
	}
	return text
}

func TestK22_ObjectType(t *testing.T) {
	for _, tt := range []struct {
		name, kind string
		want       class.Type
	}{
		{"prod/db", "secretsmanager", class.SecretsManager},
		{"/prod/level", "ssmparameter", class.SSMParameter},
		{secretARN, "", class.SecretsManager},
		{secretARN, "secretsmanager", class.SecretsManager},
		{parameterARN, "", class.SSMParameter},
		{parameterARN, "ssmparameter", class.SSMParameter},
		{"arn:aws:secretsmanager:ap-south-1:123456789012:secret:prod/db", "", class.SecretsManager}, // partial: AWS takes it
	} {
		spc := parse(t, object(tt.name, tt.kind), nil)
		if got := spc.Objects[0].Type; got != tt.want {
			t.Errorf("%s of type %q: type %q, want %q", tt.name, tt.kind, got, tt.want)
		}
		if got := spc.Objects[0].Name; got != tt.name {
			t.Errorf("name %q, want %q", got, tt.name)
		}
	}
}

func TestK22_ObjectTypeIsCaseSensitive(t *testing.T) {
	for kind, guess := range map[string]string{
		"SecretsManager":  " (did you mean secretsmanager?)",
		"SECRETSMANAGER":  " (did you mean secretsmanager?)",
		"secretmanager":   " (did you mean secretsmanager?)",
		"secrets-manager": " (did you mean secretsmanager?)",
		"ssmParameter":    " (did you mean ssmparameter?)",
		"ssmparameters":   " (did you mean ssmparameter?)",
		"ssm":             "",
		"secret":          "",
		"parameter":       " (did you mean ssmparameter?)",
		"y":               "",
	} {
		for _, name := range []string{"prod/db", secretARN} {
			wantFaults(t, faults(t, object(name, kind), nil), class.Fault{
				Field: "objects[0].objectType", Line: 2, Column: 15,
				Message: fmt.Sprintf("%q is not one of secretsmanager, ssmparameter%s", kind, guess),
			})
		}
	}
}

func TestK23_ObjectTypeIsRequiredWithoutARN(t *testing.T) {
	for _, kind := range []string{"", "''", "null"} {
		wantFaults(t, faults(t, object("prod/db", kind), nil), class.Fault{
			Field: "objects[0]", Line: 1, Column: 3,
			Message: `"prod/db" has no objectType: set it to secretsmanager or ssmparameter, or set objectName to the ARN`,
		})
	}
}

func TestK23_ARNMustAgreeWithObjectType(t *testing.T) {
	wantFaults(t, faults(t, object(secretARN, "ssmparameter"), nil), class.Fault{
		Field: "objects[0].objectType", Line: 2, Column: 15,
		Message: `ssmparameter does not match the ARN "` + secretARN + `", which is a secret`,
	})
	wantFaults(t, faults(t, object(parameterARN, "secretsmanager"), nil), class.Fault{
		Field: "objects[0].objectType", Line: 2, Column: 15,
		Message: `secretsmanager does not match the ARN "` + parameterARN + `", which is a parameter`,
	})
}

func TestK23_ARNOfAnythingElseIsRefused(t *testing.T) {
	for _, name := range []string{
		"arn:aws:s3:::bucket",
		"arn:aws:iam::123456789012:role/payment-role",
		"arn:aws:kms:ap-south-1:123456789012:key/1",
		"arn:aws:ssm:ap-south-1:123456789012:document/d",
		"arn:aws:secretsmanager:ap-south-1:123456789012:db-AbCdEf",
		"arn:aws:secretsmanager::123456789012:secret:db-AbCdEf",
		"arn:aws:secretsmanager:ap-south-1::secret:db-AbCdEf",
		"arn:aws:secretsmanager:ap-south-1:123456789012:secret",
		"arn:aws:ssm:ap-south-1:123456789012:parameter",
		"arn:aws:ssm",
		"'arn:'",
	} {
		for _, kind := range []string{"", "secretsmanager", "ssmparameter"} {
			wantFaults(t, faults(t, object(name, kind), nil), class.Fault{
				Field: "objects[0].objectName", Line: 1, Column: 15,
				Message: fmt.Sprintf("%q is not the ARN of a secret (arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME) or of a parameter (arn:aws:ssm:REGION:ACCOUNT:parameter/NAME)",
					strings.Trim(name, "'")),
			})
		}
	}
}

func TestK23_ARNOfAnyPartition(t *testing.T) {
	for region, arn := range map[string]string{
		"cn-north-1":     "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:db-AbCdEf",
		"us-gov-west-1":  "arn:aws-us-gov:ssm:us-gov-west-1:123456789012:parameter/db",
		"us-isob-east-1": "arn:aws-iso-b:secretsmanager:us-isob-east-1:123456789012:secret:db-AbCdEf",
		"eusc-de-east-1": "arn:aws-eusc:ssm:eusc-de-east-1:123456789012:parameter/db",
	} {
		spc := parse(t, object(arn, ""), params{"region": region})
		if got := spc.Objects[0].Name; got != arn {
			t.Errorf("name %q, want %q", got, arn)
		}
	}
}

func TestK24_ARNMustBeOfTheRegion(t *testing.T) {
	wantFaults(t, faults(t, secret("a")+object(secretARN, "")+object(parameterARN, "ssmparameter"), params{"region": "eu-west-1"}),
		class.Fault{
			Field: "objects[1].objectName", Line: 3, Column: 15,
			Message: `"` + secretARN + `" is in region ap-south-1, but the volume reads from eu-west-1`,
		},
		class.Fault{
			Field: "objects[2].objectName", Line: 4, Column: 15,
			Message: `"` + parameterARN + `" is in region ap-south-1, but the volume reads from eu-west-1`,
		},
	)
}

func TestK27_VersionAndLabelOfAParameterAreRefused(t *testing.T) {
	for _, name := range []string{"level", parameterARN} {
		wantFaults(t, faults(t, object(name, "ssmparameter")+"  objectVersion: 3\n  objectVersionLabel: prod\n", nil), class.Fault{
			Field: "objects[0]", Line: 1, Column: 3, Message: "a parameter takes objectVersion or objectVersionLabel, not both",
		})
	}
}

func TestK27_VersionAndLabelOfASecretAreTaken(t *testing.T) {
	spc := parse(t, secret("db")+"  objectVersion: v\n  objectVersionLabel: l\n", nil)
	if o := spc.Objects[0]; o.Version != "v" || o.Label != "l" {
		t.Errorf("version %q and label %q, want v and l", o.Version, o.Label)
	}
}

// A colon in a name would select a version behind the back of objectVersion.
func TestI4_ColonInAParametersNameIsRefused(t *testing.T) {
	for _, name := range []string{"level:3", "/prod/level:prod", "level:", parameterARN + ":3"} {
		wantFaults(t, faults(t, object("'"+name+"'", "ssmparameter"), nil), class.Fault{
			Field: "objects[0].objectName", Line: 1, Column: 15,
			Message: fmt.Sprintf("%q contains a colon: select a version with objectVersion or objectVersionLabel", name),
		})
	}
	wantFiles(t, parse(t, object("'a:b'", "secretsmanager"), nil), "a:b") // AWS says what it thinks of it
}
