package deployment

import (
	"embed"
	"io/fs"
)

//go:embed examples/*.yaml
var examples embed.FS

// Example is one of the examples, with what AWS has to hold for it and what its pods then see. Everything is in the region
// ap-south-1 and in the account 123456789012 where it does not say otherwise.
type Example struct {
	Name           string // of its file, without .yaml
	Deployment     string // in the namespace payments
	ServiceAccount string // in the namespace payments
	Roles          []Role // the pod's own first
	PodIdentity    bool   // EKS has associated the pod's own role with the ServiceAccount
	Secrets        []Secret
	Parameters     []Parameter
	Files          map[string]File   // by path in the container, such as /mnt/secrets/payment-db; there are no others
	Env            map[string]string // of the container, beyond the image's
	Elsewhere      map[string]File   // as Files, of a pod that starts while ap-south-1 does not answer; nil: it cannot start

	text []byte // of a guide
}

// YAML is what a user applies.
func (e Example) YAML() []byte {
	if e.text != nil {
		return e.text
	}
	return mustRead(examples, "examples/"+e.Name+".yaml")
}

// Role is one of IAM. Its policies are JSON, for the OIDC issuer oidc.eks.ap-south-1.amazonaws.com/id/EXAMPLE.
type Role struct {
	ARN         string
	Trust       string // empty: it trusts the example's ServiceAccount
	Permissions string // empty: it may read every secret and parameter
}

// Secret is one of Secrets Manager.
type Secret struct {
	Region   string // empty: ap-south-1
	Name     string
	Versions []SecretVersion // oldest first: the last is AWSCURRENT, the one before it AWSPREVIOUS
}

// SecretVersion is one value.
type SecretVersion struct {
	ID     string // empty: any
	Text   string // SecretString, or
	Binary []byte // SecretBinary
}

// Parameter is one of SSM Parameter Store.
type Parameter struct {
	Name   string
	Secure bool     // SecureString, not String
	Values []string // of version 1, 2 and so on; the last is current
	Labels []string // of version 1
}

// File is what a container sees.
type File struct {
	Content string
	Mode    fs.FileMode // permission bits; zero: the driver's 0644
}

// Examples are all of them, the one to start with first.
func Examples() []Example {
	text := func(name, value string) Secret { return Secret{Name: name, Versions: []SecretVersion{{Text: value}}} }
	payment := func(e Example) Example {
		e.ServiceAccount, e.Roles = "payment-sa", []Role{{ARN: "arn:aws:iam::123456789012:role/payment-role"}}
		return e
	}
	const api = `{"username":"app","password":"correct-horse","pool":{"max":20}}`
	const broker = `{"username":"app","password":"correct-horse"}`
	key := []byte{0x30, 0x82, 0x00, 0xff, 0x0a} // neither UTF-8 nor text
	return []Example{
		payment(Example{
			Name: "payment-sa", Deployment: "payment",
			Secrets: []Secret{text("payment-db", "correct-horse")},
			Files:   map[string]File{"/mnt/secrets/payment-db": {Content: "correct-horse"}},
		}),
		payment(Example{
			Name: "json-keys", Deployment: "payment-json",
			Secrets: []Secret{text("payments/api", api)},
			Files: map[string]File{
				"/mnt/secrets/payment-api": {Content: api}, "/mnt/secrets/username": {Content: "app"},
				"/mnt/secrets/password": {Content: "correct-horse"}, "/mnt/secrets/pool-max": {Content: "20"},
			},
		}),
		payment(Example{
			Name: "certificate", Deployment: "payment-certificate",
			Secrets: []Secret{
				text("payments/tls-certificate", "-----BEGIN CERTIFICATE-----\n"),
				{Name: "payments/tls-key", Versions: []SecretVersion{{Binary: key}}},
			},
			Files: map[string]File{
				"/mnt/secrets/tls.crt": {Content: "-----BEGIN CERTIFICATE-----\n", Mode: 0o444},
				"/mnt/secrets/tls.key": {Content: string(key), Mode: 0o400},
			},
		}),
		payment(Example{
			Name: "parameters", Deployment: "payment-parameters",
			Parameters: []Parameter{
				{Name: "/payments/log-level", Values: []string{"info"}},
				{Name: "/payments/api-key", Secure: true, Values: []string{"correct-horse"}},
			},
			Files: map[string]File{"/mnt/secrets/log-level": {Content: "info"}, "/mnt/secrets/api-key": {Content: "correct-horse"}},
		}),
		payment(Example{
			Name: "versions", Deployment: "payment-versions",
			Secrets: []Secret{{Name: "payments/signing-key", Versions: []SecretVersion{
				{ID: "11111111-2222-4333-8444-555555555555", Text: "first"}, {Text: "second"},
			}}},
			Parameters: []Parameter{{Name: "/payments/limits", Values: []string{`{"daily":100}`, `{"daily":200}`}, Labels: []string{"approved"}}},
			Files: map[string]File{
				"/mnt/secrets/signing-key": {Content: "second"}, "/mnt/secrets/signing-key.first": {Content: "first"},
				"/mnt/secrets/signing-key.previous": {Content: "first"},
				"/mnt/secrets/limits.2":             {Content: `{"daily":200}`}, "/mnt/secrets/limits.approved": {Content: `{"daily":100}`},
			},
		}),
		payment(Example{
			Name: "folders", Deployment: "payment-folders",
			Secrets: []Secret{text("payments/db/username", "app"), text("payments/db/password", "correct-horse")},
			Files: map[string]File{
				"/mnt/secrets/payments/db/username": {Content: "app"}, "/mnt/secrets/payments/db/password": {Content: "correct-horse"},
			},
		}),
		payment(Example{
			Name: "kubernetes-secret", Deployment: "payment-synced",
			Secrets: []Secret{text("payments/broker", broker)},
			Files: map[string]File{
				"/mnt/secrets/broker": {Content: broker}, "/mnt/secrets/broker-username": {Content: "app"},
				"/mnt/secrets/broker-password": {Content: "correct-horse"},
			},
			Env: map[string]string{"BROKER_USERNAME": "app", "BROKER_PASSWORD": "correct-horse"},
		}),
		payment(Example{
			Name: "several-classes", Deployment: "payment-classes",
			Secrets:    []Secret{text("shared/telemetry-key", "correct-horse")},
			Parameters: []Parameter{{Name: "/payments/currency", Values: []string{"INR"}}},
			Files:      map[string]File{"/mnt/shared/telemetry-key": {Content: "correct-horse"}, "/mnt/secrets/currency": {Content: "INR"}},
		}),
		{
			Name: "role-parameter", Deployment: "payment-report", ServiceAccount: "report-sa",
			Roles:   []Role{{ARN: "arn:aws:iam::123456789012:role/report-role"}},
			Secrets: []Secret{text("payments/report", "correct-horse")},
			Files:   map[string]File{"/mnt/secrets/report": {Content: "correct-horse"}},
		},
		{
			Name: "pod-identity", Deployment: "payment-identity", ServiceAccount: "identity-sa", PodIdentity: true,
			Roles: []Role{{
				ARN: "arn:aws:iam::123456789012:role/identity-role",
				Trust: `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"},
					"Action": ["sts:AssumeRole", "sts:TagSession"]}]}`,
			}},
			Secrets: []Secret{text("payments/ledger", "correct-horse")},
			Files:   map[string]File{"/mnt/secrets/ledger": {Content: "correct-horse"}},
		},
		payment(Example{
			Name: "failover", Deployment: "payment-failover",
			Secrets: []Secret{
				text("payments/card-key", "correct-horse"),
				{Region: "ap-southeast-1", Name: "payments/card-key", Versions: []SecretVersion{{Text: "correct-horse-too"}}},
				text("payments/bank", "correct-horse-bank"),
				{Region: "ap-southeast-1", Name: "singapore/bank", Versions: []SecretVersion{{Text: "correct-horse-singapore"}}},
			},
			Files:     map[string]File{"/mnt/secrets/card-key": {Content: "correct-horse"}, "/mnt/secrets/bank": {Content: "correct-horse-bank"}},
			Elsewhere: map[string]File{"/mnt/secrets/card-key": {Content: "correct-horse-too"}, "/mnt/secrets/bank": {Content: "correct-horse-singapore"}},
		}),
		{
			Name: "cross-account", Deployment: "payment-partner", ServiceAccount: "partner-sa",
			Roles: []Role{
				{
					ARN: "arn:aws:iam::111122223333:role/partner-role",
					Permissions: `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
						"Resource": "arn:aws:iam::123456789012:role/shared-secrets"}]}`,
				},
				{
					ARN: "arn:aws:iam::123456789012:role/shared-secrets",
					Trust: `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
						"Principal": {"AWS": "arn:aws:iam::111122223333:role/partner-role"},
						"Condition": {"StringEquals": {"sts:ExternalId": "payments-7"}}}]}`,
				},
			},
			Secrets: []Secret{text("shared/partner-key", "correct-horse")},
			Files:   map[string]File{"/mnt/secrets/partner-key": {Content: "correct-horse"}},
		},
	}
}
