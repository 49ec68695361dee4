package deployment

import (
	"embed"
	"io/fs"
)

//go:embed examples/*.yaml
var examples embed.FS

// Example is an example with the AWS objects that it needs and the files that its pods get. The default region is
// ap-south-1 and the default account is 123456789012.
type Example struct {
	Name           string // of the file, without .yaml
	Deployment     string // in the namespace payments
	ServiceAccount string // in the namespace payments
	Roles          []Role // the pod's role first
	PodIdentity    bool   // a Pod Identity association connects the pod's role with the ServiceAccount
	Secrets        []Secret
	Parameters     []Parameter
	Files          map[string]File   // all files, by path in the container, such as /mnt/secrets/payment-db
	Env            map[string]string // of the container, without those of the image
	Elsewhere      map[string]File   // Files of a pod that starts while ap-south-1 fails; nil if it cannot start

	text []byte // of a guide
}

// YAML is the text that a user applies.
func (e Example) YAML() []byte {
	if e.text != nil {
		return e.text
	}
	return mustRead(examples, "examples/"+e.Name+".yaml")
}

// Role is an IAM role. Its policies are JSON, for the OIDC issuer oidc.eks.ap-south-1.amazonaws.com/id/EXAMPLE.
type Role struct {
	ARN         string
	Trust       string // if empty, it trusts the example's ServiceAccount
	Permissions string // if empty, it may read every secret and parameter
}

// Secret is a secret in Secrets Manager.
type Secret struct {
	Region   string // empty: ap-south-1
	Name     string
	KMSKey   string            // id of your own key; empty: AWS's
	Tags     map[string]string // key → value
	Versions []SecretVersion   // oldest first: the last is AWSCURRENT, the one before it AWSPREVIOUS
}

// SecretVersion is a version of a secret.
type SecretVersion struct {
	ID     string // empty: any
	Text   string // SecretString, or
	Binary []byte // SecretBinary
}

// Parameter is a parameter in SSM Parameter Store.
type Parameter struct {
	Name   string
	Secure bool     // SecureString, not String
	Values []string // of versions 1, 2, ...; the last is current
	Labels []string // of version 1
}

// File is a file in a container.
type File struct {
	Content string
	Mode    fs.FileMode // permission bits; zero: the driver's 0644
}

// Examples lists all examples, the first one to read first.
func Examples() []Example {
	text := func(name, value string) Secret { return Secret{Name: name, Versions: []SecretVersion{{Text: value}}} }
	tagged := func(team string, s Secret) Secret {
		s.Tags = map[string]string{"team": team}
		return s
	}
	payment := func(e Example) Example {
		e.ServiceAccount, e.Roles = "payment-sa", []Role{{ARN: "arn:aws:iam::123456789012:role/payment-role"}}
		return e
	}
	// inPartition is an example in another partition, with one secret.
	inPartition := func(name, partition, region string) Example {
		return Example{
			Name: name, Deployment: "payment-" + name, ServiceAccount: name + "-sa",
			Roles:   []Role{{ARN: "arn:" + partition + ":iam::123456789012:role/" + name + "-role"}},
			Secrets: []Secret{{Region: region, Name: "payments/" + name, Versions: []SecretVersion{{Text: "correct-horse"}}}},
			Files:   map[string]File{"/mnt/secrets/" + name: {Content: "correct-horse"}},
		}
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
			Name: "formats", Deployment: "payment-formats",
			Secrets: []Secret{text("payments/account", api), text("payments/keystore", "MIIA\n/wo=\n")},
			Files: map[string]File{
				"/mnt/secrets/api-username": {Content: "app"}, "/mnt/secrets/api-password": {Content: "correct-horse"}, "/mnt/secrets/api-pool": {Content: `{"max":20}`},
				"/mnt/secrets/api.env":      {Content: "password=correct-horse\npool='{\"max\":20}'\nusername=app\n", Mode: 0o444},
				"/mnt/secrets/keystore.p12": {Content: string(key)},
			},
		}),
		{
			Name: "selections", Deployment: "payment-selections", ServiceAccount: "selection-sa",
			Roles: []Role{{
				ARN: "arn:aws:iam::123456789012:role/selection-role",
				Permissions: `{"Version": "2012-10-17", "Statement": [
					{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue",
						"Resource": "arn:aws:secretsmanager:ap-south-1:123456789012:secret:gateways/*"},
					{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue",
						"Resource": "arn:aws:secretsmanager:ap-south-1:123456789012:secret:common/*",
						"Condition": {"StringEquals": {"secretsmanager:ResourceTag/team": "payments"}}},
					{"Effect": "Allow", "Action": ["secretsmanager:BatchGetSecretValue", "secretsmanager:ListSecrets"], "Resource": "*"},
					{"Effect": "Allow", "Action": "ssm:GetParametersByPath",
						"Resource": "arn:aws:ssm:ap-south-1:123456789012:parameter/checkout"},
					{"Effect": "Allow", "Action": "ssm:GetParameters",
						"Resource": "arn:aws:ssm:ap-south-1:123456789012:parameter/features/new-checkout"}]}`,
			}},
			Secrets: []Secret{
				text("gateways/cards", "correct-horse"), text("gateways/transfers", "correct-horse-too"),
				tagged("payments", text("common/mail", "correct-horse-mail")), tagged("orders", text("common/orders", "correct-horse-orders")),
			},
			Parameters: []Parameter{{Name: "/checkout/currency", Values: []string{"INR"}}, {Name: "/checkout/limits/daily", Values: []string{"200"}}},
			Files: map[string]File{
				"/mnt/secrets/gateway-cards": {Content: "correct-horse"}, "/mnt/secrets/gateway-transfers": {Content: "correct-horse-too"},
				"/mnt/secrets/common-mail":       {Content: "correct-horse-mail"},
				"/mnt/secrets/checkout-currency": {Content: "INR"}, "/mnt/secrets/checkout-limits_daily": {Content: "200"},
			},
		},
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
			Name: "non-root", Deployment: "payment-non-root",
			Secrets: []Secret{text("payments/token", "correct-horse"), text("payments/client-key", "correct-horse-key")},
			Files: map[string]File{
				"/mnt/secrets/token":      {Content: "correct-horse", Mode: 0o444},
				"/mnt/secrets/client.key": {Content: "correct-horse-key", Mode: 0o440},
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
		{
			Name: "kms-key", Deployment: "payment-encrypted", ServiceAccount: "encrypted-sa",
			Roles: []Role{{
				ARN: "arn:aws:iam::123456789012:role/encrypted-role",
				Permissions: `{"Version": "2012-10-17", "Statement": [
					{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue",
						"Resource": "arn:aws:secretsmanager:ap-south-1:123456789012:secret:payments/encrypted-??????"},
					{"Effect": "Allow", "Action": "kms:Decrypt",
						"Resource": "arn:aws:kms:ap-south-1:123456789012:key/11111111-2222-4333-8444-555555555555"}]}`,
			}},
			Secrets: []Secret{{Name: "payments/encrypted", KMSKey: "11111111-2222-4333-8444-555555555555", Versions: []SecretVersion{{Text: "correct-horse"}}}},
			Files:   map[string]File{"/mnt/secrets/encrypted": {Content: "correct-horse"}},
		},
		payment(Example{
			Name: "init-container", Deployment: "payment-init",
			Secrets: []Secret{text("payments/migration", "correct-horse")},
			Files:   map[string]File{"/mnt/secrets/db-password": {Content: "correct-horse"}},
		}),
		inPartition("china", "aws-cn", "cn-north-1"),
		inPartition("govcloud", "aws-us-gov", "us-gov-west-1"),
	}
}
