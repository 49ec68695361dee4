package deployment

import "secrets-provider-aws/docs"

// Guides lists the guides in docs as examples. The YAML joins the blocks that the reader applies, and the policies are
// those of the guide.
func Guides() []Example {
	const guide = "migrate-from-init-containers.md"
	const db = `{"username":"app","password":"correct-horse"}`
	policies := blocks(guide, "json")
	return []Example{{
		Name: guide, Deployment: "payment", ServiceAccount: "payment-sa",
		Roles:   []Role{{ARN: "arn:aws:iam::123456789012:role/payment-role", Trust: policies[0], Permissions: policies[1]}},
		Secrets: []Secret{{Name: "prod/payments/db", Versions: []SecretVersion{{Text: db}}}},
		Files:   map[string]File{"/mnt/secrets/db.json": {Content: db}, "/mnt/secrets/db-password": {Content: "correct-horse"}},
		Env:     map[string]string{"DB_PASSWORD": "correct-horse"},

		text: joined(blocks(guide, "yaml")),
	}}
}

// Replaced is YAML of the objects that the guides show as the state before the change. Tests validate them.
func Replaced() []byte { return joined(blocks("migrate-from-init-containers.md", "yaml before")) }

// HandOver is the temporary change of the guide from AWS's provider, for a migration node by node.
type HandOver struct {
	Patch  []byte // YAML, a merge patch of the DaemonSet of AWS's provider
	Values []byte // YAML, for "helm --values"
}

// NodeByNode returns the change to migrate node by node without a failed mount.
func NodeByNode() HandOver {
	const guide = "migrate-from-aws-provider.md"
	return HandOver{Patch: joined(blocks(guide, "yaml patch")), Values: joined(blocks(guide, "yaml values"))}
}

func blocks(guide, info string) []string {
	blocks, err := docs.Blocks(guide, info)
	if err != nil {
		panic(err) // reading embedded files cannot fail
	}
	return blocks
}

// joined joins YAML texts to one.
func joined(blocks []string) []byte {
	var text []byte
	for i, block := range blocks {
		if i > 0 {
			text = append(text, "---\n"...)
		}
		text = append(text, block...)
	}
	return text
}
