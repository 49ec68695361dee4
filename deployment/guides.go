package deployment

import "secrets-provider-aws/docs"

// Guides are the manifests of the guides in docs, each made of the blocks that its reader applies, with the policies that
// stand there.
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

// Replaced is what the guides show of a cluster before it is changed, for an API server to look at: YAML of whole objects.
func Replaced() []byte { return joined(blocks("migrate-from-init-containers.md", "yaml before")) }

// HandOver is what the guide from AWS's provider has its reader change for a while, node by node.
type HandOver struct {
	Patch  []byte // YAML, a merge patch of the DaemonSet of AWS's provider
	Values []byte // YAML, for "helm --values"
}

// NodeByNode is the change of provider without a failed mount.
func NodeByNode() HandOver {
	const guide = "migrate-from-aws-provider.md"
	return HandOver{Patch: joined(blocks(guide, "yaml patch")), Values: joined(blocks(guide, "yaml values"))}
}

func blocks(guide, info string) []string {
	blocks, err := docs.Blocks(guide, info)
	if err != nil {
		panic(err) // what is embedded can be read
	}
	return blocks
}

// joined makes one YAML text of several.
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
