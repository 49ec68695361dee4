//go:build e2e

package e2e

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"secrets-provider-aws/deployment"
	"secrets-provider-aws/test/examples"
	"secrets-provider-aws/test/node"
)

// The test applies each example unchanged, except for the image. The pod must get exactly the files of the example's description.
// The test also applies the manifests of the guides with their policies. For a guide's "before" manifests, the API server must accept them.
func TestExamples_PodsGetTheDescribedFiles(t *testing.T) {
	c := newTenantIn(t, "payments")
	c.applyExamples(deployment.Examples())

	c.kubectl("delete", "deployments", "--all", "--cascade=foreground", "--timeout=3m") // a guide reuses the names and roles of an example
	replaced := filepath.Join(t.TempDir(), "replaced.yaml")
	c.must(os.WriteFile(replaced, deployment.Replaced(), 0o600))
	c.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", replaced)
	c.applyExamples(deployment.Guides())
}

// applyExamples applies all examples, then waits for the pods of each.
func (c *tenant) applyExamples(all []deployment.Example) {
	c.t.Helper()
	c.values = append(c.values, "correct-horse") // every created secret contains it
	for _, e := range all {
		if strings.HasSuffix(e.Name, ".md") {
			c.seed(e)
		} else {
			c.runCommands(e)
		}
		c.must(examples.Grant(c.aws, e, c.issuer()))
		text := string(e.YAML())
		const image = "          image: nginx:stable\n"
		text = strings.ReplaceAll(text, "          image: nginx:stable # your image\n", "          image: "+node.TestAppImage+"\n") // it has cat
		if strings.Count(text, image) != 1 {
			c.t.Fatalf("%s does not have exactly one line %q", e.Name, image)
		}
		// The workload prints what it sees. As in the example's image, it runs as root, unless the example names a user.
		here := "          image: " + node.TestAppImage + "\n          args: [watch, /mnt]\n"
		if !strings.Contains(text, "runAsUser: ") {
			here += "          securityContext: {runAsUser: 0}\n"
		}
		c.apply(strings.NewReplacer(image, here, "          command: [sleep, infinity] # nginx itself needs root\n", "").Replace(text))
	}
	for _, e := range all {
		c.step(e.Name, func() {
			c.must(c.WaitPodsReady(c.ctx, c.namespace, "app="+e.Deployment, 1))
			want := map[string]string{}
			for path, file := range e.Files {
				want[path] = cmp.Or(file.Mode, 0o644).String() + " " + file.Content
			}
			if diff := gocmp.Diff(want, c.files("deployment/"+e.Deployment)); diff != "" {
				c.t.Errorf("files (-want +got):\n%s", diff)
			}
			env, err := c.Exec(c.ctx, c.namespace, "deployment/"+e.Deployment, "env")
			c.must(err)
			for name, value := range e.Env {
				if !strings.Contains("\n"+env, "\n"+name+"="+value+"\n") {
					c.t.Errorf("no %s=%s in %q", name, value, env)
				}
			}
		})
	}
}

// seed creates the secrets of a guide, which does not say how to create them.
func (c *tenant) seed(e deployment.Example) {
	for _, s := range e.Secrets {
		c.aws.PutSecret(cmp.Or(s.Region, region), s.Name, s.Versions[0].Text)
	}
}
