package class_test

import (
	"testing"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/provider/class"
)

// FuzzParameters holds that all parameters beside `objects`, and the region of the node's label, are refused in one
// line or give what can stand in a host name, an ARN and a request.
func FuzzParameters(f *testing.F) {
	f.Add("eu-west-1", "us-east-1", "False", "true", "ipv4", "", "arn:aws:iam::123456789012:role/vault", "payments-7", "5m", "regoin", "ap-south-1")
	f.Add("", "", "-", "false", "IPv6", "arn:aws-cn:iam::123456789012:role/a/b/c", "", "", "1s", "secretProviderClass", "")
	f.Add("a.b", "a@b", "é", "maybe", "x", "arn:aws:iam::1:role/", "arn:aws:iam::123456789012:user/x", "x", "99999h", "a/b", "localhost:80")
	f.Add("-", "A", "ab", "1", "auto", "arn:aws:iam::123456789012:role/x\n", "\x00", "\xff\xff", "1e9s", "", "../..")
	f.Fuzz(func(t *testing.T, primary, failover, translation, podIdentity, address, role, assume, externalID, interval, unknown, node string) {
		spc, err := class.Parse(params{
			unknown: node, "objects": "- {objectName: prod/db, objectType: secretsmanager}", "region": primary, "failoverRegion": failover,
			"pathTranslation": translation, "usePodIdentity": podIdentity, "preferredAddressType": address, "roleArn": role, "assumeRoleArn": assume,
			"externalId": externalID, "refreshInterval": interval,
		}, "")
		if err != nil {
			checkClassError(t, err)
			return
		}
		if spc.Region == "" {
			if spc, err = spc.InRegion(node); err != nil {
				checkClassError(t, err)
				return
			}
		}
		for _, region := range spc.Regions() {
			if region != "" && !awsclient.ValidRegion(region) { // the node's label is checked where it is read
				t.Errorf("accepted the region %q", region)
			}
		}
		for _, arn := range []string{spc.RoleARN, spc.AssumeRoleARN} {
			if arn != "" && !awsclient.ValidRoleARN(arn) {
				t.Errorf("accepted the role %q", arn)
			}
		}
		if spc.FailoverRegion == spc.Region && spc.Region != "" || spc.ExternalID != "" && spc.AssumeRoleARN == "" || spc.PodIdentity && spc.RoleARN != "" {
			t.Errorf("accepted what excludes each other: %+v", spc)
		}
		for _, w := range spc.Warnings {
			if text := w.String(); len(text) > 1000 {
				t.Errorf("a warning of %d bytes", len(text))
			}
		}
	})
}
