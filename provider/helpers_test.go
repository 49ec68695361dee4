package provider_test

import (
	"fmt"
	"maps"
	"testing"

	"secrets-provider-aws/provider/class"
)

const (
	region = "ap-south-1" // where the tests read from
	second = "eu-west-1"  // their failover region

	secretARN    = "arn:aws:secretsmanager:ap-south-1:123456789012:secret:prod/db-AbCdEf"
	parameterARN = "arn:aws:ssm:ap-south-1:123456789012:parameter/prod/level"
)

// params are the parameters of a SecretProviderClass.
type params = map[string]string

var withSecond = params{"failoverRegion": second}

// parse parses objects, with further parameters, that must be right.
func parse(t testing.TB, objects string, more params) class.Class {
	t.Helper()
	p := params{"objects": objects}
	maps.Copy(p, more)
	spc, err := class.Parse(p, region)
	if err != nil {
		t.Fatalf("class.Parse: %v", err)
	}
	return spc
}

// secret is an entry of `objects` for a secret of this name.
func secret(name string) string {
	return fmt.Sprintf("- objectName: %s\n  objectType: secretsmanager\n", name)
}

// object is an entry of `objects`; kind is empty where the name tells it.
func object(name, kind string) string {
	text := "- objectName: " + name + "\n"
	if kind != "" {
		text += "  objectType: " + kind + "\n"
	}
	return text
}
