//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secrets-provider-aws/deployment"
	"secrets-provider-aws/docs"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/examples"
	"secrets-provider-aws/test/node"
)

// guide says how the test follows a page.
type guide struct {
	prepare func(*reader)          // what a reader of the page has before its first command; may be nil
	words   func(*reader) []string // what the reader writes in place of a word of the page: pairs; may be nil
	check   func(*reader)          // what the reader has after the last command; may be nil
}

// guides are the pages of docs.Executed.
var guides = map[string]guide{
	"README.md": {
		check: func(r *reader) {
			if !strings.HasSuffix(r.printed, "correct-horse") {
				r.t.Errorf("the README does not end with the secret in the pod, but with:\n%s", r.printed)
			}
		},
	},
	"deployment/chart/README.md": {prepare: func(r *reader) { r.uninstall() }},
	"deployment/examples/README.md": {
		prepare: func(r *reader) {
			const role = "arn:aws:iam::123456789012:role/payment-production"
			r.grant(deployment.Example{ServiceAccount: "stage-sa", Roles: []deployment.Role{{ARN: role}}})
			r.aws.PutSecret(region, "production/payments/db", "correct-horse")
		},
		check: func(r *reader) {
			if !strings.HasSuffix(r.printed, "correct-horse") {
				r.t.Errorf("the kustomization does not end with the secret in the pod, but with:\n%s", r.printed)
			}
		},
	},
	"docs/check.md":                     {prepare: (*reader).writeManifests},
	"docs/migrate-from-aws-provider.md": {},
	"docs/migrate-from-init-containers.md": {
		prepare: func(r *reader) {
			e := deployment.Guides()[0]
			r.kubectl("delete", "deployments", "--all", "--cascade=foreground", "--timeout=3m")
			r.apply(string(deployment.Replaced()))
			r.uninstall()
			r.must(r.RemoveDriver(r.ctx)) // the guide installs it
			r.seed(e)
			r.write("payment.yaml", string(e.YAML()))
			// Every page begins with a cluster and an account of its own.
			r.aws.RemoveOIDCProvider(r.Issuer())
			r.must(r.aws.RemoveRole("payment-role"))
		},
		words: func(r *reader) []string {
			return []string{"oidc.eks.ap-south-1.amazonaws.com/id/EXAMPLE", strings.TrimPrefix(r.Issuer(), "https://")}
		},
		check: func(r *reader) {
			if !strings.Contains(r.printed, "deployment.apps/payment rolled back") {
				r.t.Errorf("the guide does not end with the old Deployment, but with:\n%s", r.printed)
			}
		},
	},
	"docs/rotation.md": {
		prepare: func(r *reader) {
			r.kubectl("delete", "deployments", "--all", "--cascade=foreground", "--timeout=3m")
			r.grant(deployment.Examples()[0])
		},
	},
}

// A reader follows the README and the guides in a fresh clone: every command works as it is written, with the real helm, kubectl and
// AWS CLI. The README ends with a secret in a pod. Only this differs from a reader's cluster: one values file says how this node
// reaches AWS and which image it has, and an image of the tests has the name of the examples' image.
func TestGuides_EveryCommandWorks(t *testing.T) {
	r := newReader(t)
	var executed, marked, failed int
	for _, page := range docs.Executed() {
		g, known := guides[page]
		if !known {
			t.Errorf("no guide for %s", page)
			continue
		}
		text, err := os.ReadFile(filepath.Join(r.clone, page))
		r.must(err)
		blocks, err := docs.Commands(string(text))
		r.must(err)
		t.Run(page, func(t *testing.T) {
			defer func(whole *testing.T) { r.t = whole }(r.t)
			r.t = t
			if g.prepare != nil {
				g.prepare(r)
			}
			// There is no registry. The values name the image that the node has.
			words := []string{"make push chart ", "make chart "}
			if g.words != nil {
				words = append(words, g.words(r)...)
			}
			asReader := strings.NewReplacer(words...)
			for _, b := range blocks {
				b.Text = asReader.Replace(b.Text)
				switch {
				case b.NotRun != "":
					marked++
					t.Logf("line %d is not run: %s", b.Line, b.NotRun)
				case b.File != "":
					r.write(b.File, b.Text)
				case r.run(b):
					executed++
				default:
					failed++
					t.FailNow() // the next blocks need it
				}
			}
			if g.check != nil {
				g.check(r)
			}
		})
	}
	t.Logf("%d pages: %d blocks of commands executed, %d failing, %d marked as not run", len(docs.Executed()), executed, failed, marked)
}

// reader is somebody in front of a shell in a fresh clone, with a cluster and an AWS account.
type reader struct {
	*tenant
	clone   string
	path    []string // folders of programs, searched first
	printed string   // by the last block
}

// newReader gives the reader an AWS of their own, and a cluster with the driver and without the provider.
func newReader(t *testing.T) *reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	w := &world{Node: shared.Node, image: shared.image, folder: t.TempDir()}
	if err := w.startAWS(func(c *awssim.Config) { c.State.OIDCProviders, c.IssuerCAFile = nil, w.clusterCA() }); err != nil { // the reader registers the cluster
		t.Fatal(err)
	}
	t.Cleanup(w.aws.Close)
	if err := w.untilNamespacesEnded(ctx); err != nil { // an example's namespace has the same name
		t.Fatal(err)
	}
	if err := w.writeValues(ctx, "guides-aws-ca"); err != nil {
		t.Fatal(err)
	}
	if err := w.addDriverImages(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the end of the tenant
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if _, err := w.Helm(ctx, "uninstall", release, "--namespace", releaseNamespace, "--ignore-not-found", "--wait"); err != nil {
			t.Error(err)
		}
		if err := w.InstallDriver(ctx); err != nil { // a guide replaced it
			t.Error(err)
		}
		if _, err := shared.upgrade(ctx); err != nil {
			t.Error(err)
		}
	})
	r := &reader{tenant: newTenantOf(t, w, examples.Namespace), clone: freshClone(t)}
	r.values = append(r.values, "correct-horse")
	r.must(w.TagImage(ctx, node.TestAppImage, "docker.io/library/nginx:stable"))
	r.path = []string{r.programs(), filepath.Join(r.clone, "bin")}
	r.uninstall()
	return r
}

// freshClone clones the repository, with the changes that are not committed yet.
func freshClone(t *testing.T) string {
	t.Helper()
	tree, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	clone := filepath.Join(t.TempDir(), "secrets-provider-aws")
	git := func(arguments ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", tree}, arguments...)...).Output()
		if err != nil {
			t.Fatalf("git %v: %v", arguments, err)
		}
		return string(out)
	}
	git("clone", "--quiet", tree, clone)
	changed := git("diff", "-z", "--name-only", "--relative", "HEAD") + git("ls-files", "-z", "--others", "--exclude-standard")
	for file := range strings.SplitSeq(changed, "\x00") {
		if file != "" {
			copyFile(t, filepath.Join(tree, file), filepath.Join(clone, file))
		}
	}
	return clone
}

// programs returns a folder with the programs of a reader: kubectl and helm for the node, and the AWS CLI, each through a script that
// says how it reaches its server. Only the values of helm are not a matter of the environment.
func (r *reader) programs() string {
	helm, err := node.HelmPath(r.ctx, node.Config{})
	r.must(err)
	awsCLI, err := r.awsProgram(r.t)
	r.must(err)
	dir := r.t.TempDir()
	for name, script := range map[string]string{
		"kubectl": fmt.Sprintf("exec %q \"$@\"", r.KubectlPath()),
		"helm":    fmt.Sprintf("case $1 in install|upgrade) exec %[1]q \"$@\" --values %[2]q ;; esac\nexec %[1]q \"$@\"", helm, r.world.values()),
	} {
		r.must(os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	r.must(os.WriteFile(filepath.Join(dir, "aws"), []byte(awsCLI), 0o755))
	return dir
}

// run pastes a block into a shell. It reports whether every command worked.
func (r *reader) run(b docs.Block) bool {
	cmd := exec.CommandContext(r.ctx, "bash", "-euo", "pipefail", "-c", b.Text)
	cmd.Dir = r.clone
	cmd.Env = append(os.Environ(), "PATH="+strings.Join(append(r.path, os.Getenv("PATH")), ":"), "KUBECONFIG="+r.Kubeconfig(),
		"MAKEFLAGS=", "MAKELEVEL=", "GOBIN="+r.folder, "HELM_CACHE_HOME="+r.folder, "HELM_CONFIG_HOME="+r.folder, "HELM_DATA_HOME="+r.folder)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	r.printed = strings.TrimRight(string(out), "\n")
	if err != nil {
		r.t.Errorf("line %d: %v\n%s\nIt printed:\n%s", b.Line, err, b.Text, r.printed)
		return false
	}
	r.t.Logf("line %d works, %.1f s", b.Line, time.Since(start).Seconds())
	return true
}

// grant creates the IAM roles of an example, as an administrator does with the policies that check prints.
func (r *reader) grant(e deployment.Example) {
	r.t.Helper()
	r.must(examples.Grant(r.aws, e, r.issuer()))
}

// uninstall removes the provider, so that the reader can install it.
func (r *reader) uninstall() {
	r.t.Helper()
	_, err := r.Helm(r.ctx, "uninstall", release, "--namespace", releaseNamespace, "--ignore-not-found", "--wait")
	r.must(err)
}

// write writes a file of the reader in the clone.
func (r *reader) write(name, text string) {
	r.t.Helper()
	file := filepath.Join(r.clone, name)
	r.must(os.MkdirAll(filepath.Dir(file), 0o755))
	r.must(os.WriteFile(file, []byte(text), 0o600))
}

// writeManifests writes what a reader has who checks manifests before a rollout: a folder, a chart and a kustomization.
func (r *reader) writeManifests() {
	manifests := string(deployment.Examples()[0].YAML())
	r.write("deploy/payment.yaml", manifests)
	r.write("chart/Chart.yaml", "{apiVersion: v2, name: payment, version: 1.0.0}\n")
	r.write("chart/templates/payment.yaml", manifests)
	r.write("kustomization.yaml", "resources: [deploy/payment.yaml]\n")
}

// addDriverImages adds the images of the driver's chart to the values, for a guide that installs the driver.
func (w *world) addDriverImages(ctx context.Context) error {
	images, err := w.DriverChart(ctx)
	if err != nil {
		return err
	}
	values, err := os.ReadFile(w.values())
	if err != nil {
		return err
	}
	return os.WriteFile(w.values(), []byte(string(values)+"secrets-store-csi-driver:\n"+indented(images)), 0o600)
}

// untilNamespacesEnded waits until no namespace is being deleted.
func (w *world) untilNamespacesEnded(ctx context.Context) error {
	return w.Until(ctx, 5*time.Minute, "the end of deleted namespaces", func(ctx context.Context) (bool, error) {
		ending, err := w.Kubectl(ctx, "get", "namespaces", "--field-selector", "status.phase=Terminating", "-o", "name")
		if err == nil && ending != "" {
			err = fmt.Errorf("still there: %s", strings.Fields(ending))
		}
		return err == nil, err
	})
}
