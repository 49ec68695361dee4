package awssim

import "testing"

func TestParseAWSHost(t *testing.T) {
	for host, want := range map[string]awsHost{
		"sts.amazonaws.com":                                      {"sts", "us-east-1"},
		"sts.ap-south-1.amazonaws.com:443":                       {"sts", "ap-south-1"},
		"STS.ap-south-1.amazonaws.com":                           {"sts", "ap-south-1"},
		"sts-fips.us-gov-west-1.amazonaws.com":                   {"sts", "us-gov-west-1"},
		"secretsmanager-fips.us-east-1.amazonaws.com":            {"secretsmanager", "us-east-1"},
		"secretsmanager.eu-west-1.api.aws":                       {"secretsmanager", "eu-west-1"},
		"secretsmanager.cn-north-1.amazonaws.com.cn":             {"secretsmanager", "cn-north-1"},
		"ssm.cn-north-1.api.amazonwebservices.com.cn":            {"ssm", "cn-north-1"},
		"vpce-0a-b1.ssm.eu-west-1.vpce.amazonaws.com":            {"ssm", "eu-west-1"},
		"vpce-0a-b1-eu-west-1a.sts.eu-west-1.vpce.amazonaws.com": {"sts", "eu-west-1"},
	} {
		if got, ok := parseAWSHost(host); !ok || got != want {
			t.Errorf("%s: %+v %v, want %+v", host, got, ok, want)
		}
	}
	for _, host := range []string{
		"", "127.0.0.1:443", "localhost", "amazonaws.com", "ssm.amazonaws.com", "sts.amazonaws.com.cn",
		"sts.ap-south-1.amazonaws.com.evil.example", "sts.region.amazonaws.com", "a.b.c.amazonaws.com", "xsts.ap-south-1.example.com",
	} {
		if got, ok := parseAWSHost(host); ok {
			t.Errorf("%q is parsed as %+v", host, got)
		}
	}
}
