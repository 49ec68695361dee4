package main

import (
	"crypto/rand"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// plan has the names and values of one run. Each run has its own, so that a run never finds what another left behind.
type plan struct {
	options
	account   string
	partition string

	db        string // secret: JSON
	denied    string // secret that the role may not read
	missing   string // secret that does not exist
	url, key  string // parameters: String and SecureString
	user      string
	passwords [2]string // before and after the rotation
}

func newPlan(o options) (plan, error) {
	role, err := arn.Parse(o.role)
	if err != nil {
		return plan{}, err
	}
	id := random()
	allowed := o.prefix + "/allowed/" + id
	return plan{
		options: o, account: role.AccountID, partition: role.Partition,
		db: allowed + "/db", missing: allowed + "/missing", denied: o.prefix + "/denied/" + id + "/db",
		url: "/" + allowed + "/url", key: "/" + allowed + "/key",
		user: "app", passwords: [2]string{random(), random()},
	}, nil
}

// random is a text that nobody can guess, for names and values.
func random() string { return rand.Text()[:12] }

// policy is the permission policy that the role needs, with the partition and the account of the role.
func policy(o options, partition, account string) string {
	return fmt.Sprintf(`{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "arn:%[1]s:secretsmanager:%[2]s:%[3]s:secret:%[4]s/allowed/*"},
    {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:%[1]s:ssm:%[2]s:%[3]s:parameter/%[4]s/allowed/*"}
  ]
}`, partition, o.region, account, o.prefix)
}

func (p plan) print(w io.Writer) {
	fmt.Fprintf(w, `Creates in account %s, region %s, with your credentials:
  secret     %s
  secret     %s
  parameter  %s (String)
  parameter  %s (SecureString, with the key aws/ssm)
Starts %s, mounts as the CSI driver does, and checks values, a missing secret, a denied secret,
a rotation and the previous version. Deletes everything at the end, without a recovery window.

Cost: 2 secrets for less than an hour (0.40 USD a month each), and about 60 calls (0.05 USD per 10,000):
less than 0.01 USD. Standard parameters are free.

Role of the provider: %s
It needs this permission policy, and must not be able to read %s/denied/*:
%s
`, p.account, p.region, p.db, p.denied, p.url, p.key, p.provider, p.role, p.prefix, policy(p.options, p.partition, p.account))
}
