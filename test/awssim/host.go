// Host names of AWS. Rules: AWS General Reference, "AWS service endpoints" (and
// the pages of STS, Secrets Manager and Systems Manager): regional, FIPS,
// dual-stack and China endpoints; AWS PrivateLink guide for the vpce names.

package awssim

import (
	"net"
	"regexp"
	"strings"
)

// awsHost is the meaning of an AWS host name.
type awsHost struct {
	service string // endpoint prefix without "-fips": "sts", "secretsmanager", "ssm", …
	region  string
}

// Of two suffixes, the longer one comes first.
var awsSuffixes = []string{
	".vpce.amazonaws.com.cn", ".vpce.amazonaws.com",
	".amazonaws.com.cn", ".amazonaws.com",
	".api.amazonwebservices.com.cn", ".api.aws",
}

var regionPattern = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)

// parseAWSHost parses a host name, with or without a port. It returns false if
// the name is not AWS's.
func parseAWSHost(hostPort string) (awsHost, bool) {
	host := hostPort
	if h, _, err := net.SplitHostPort(hostPort); err == nil {
		host = h
	}
	host = strings.ToLower(host)
	for _, suffix := range awsSuffixes {
		name, ok := strings.CutSuffix(host, suffix)
		if !ok {
			continue
		}
		labels := strings.Split(name, ".")
		if strings.HasPrefix(suffix, ".vpce.") { // vpce-0123-abcd.<service>.<region>
			if len(labels) < 3 {
				return awsHost{}, false
			}
			labels = labels[len(labels)-2:]
		}
		service := strings.TrimSuffix(labels[0], "-fips")
		switch {
		case len(labels) == 1 && (service == serviceSTS || service == serviceIAM) && suffix == ".amazonaws.com":
			return awsHost{service, "us-east-1"}, true // the global endpoints
		case len(labels) == 2 && regionPattern.MatchString(labels[1]):
			return awsHost{service, labels[1]}, true
		}
		return awsHost{}, false
	}
	return awsHost{}, false
}
