package provider_test

import (
	"fmt"
	"maps"
	"testing"

	"secrets-provider-aws/provider/class"
)

const (
	region = "ap-south-1" // primary region of the tests
	second = "eu-west-1"  // failover region of the tests

	secretARN    = "arn:aws:secretsmanager:ap-south-1:123456789012:secret:prod/db-AbCdEf"
	parameterARN = "arn:aws:ssm:ap-south-1:123456789012:parameter/prod/level"
)

// params are the parameters of a SecretProviderClass.
type params = map[string]string

var withSecond = params{"failoverRegion": second}

// parse parses objects and further parameters. It fails the test if they are not valid.
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

// secret returns an entry of `objects` for a secret with this name.
func secret(name string) string {
	return fmt.Sprintf("- objectName: %s\n  objectType: secretsmanager\n", name)
}

// object returns an entry of `objects`. kind is empty if name is an ARN.
func object(name, kind string) string {
	text := "- objectName: " + name + "\n"
	if kind != "" {
		text += "  objectType: " + kind + "\n"
	}
	return text
}
