package deployment_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/deployment"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// The provider mounts each example as its description says, from what its description has AWS hold. The end-to-end test
// does the same on a real node, in minutes; this one tells within a second which example is wrong.
func TestExamples_Mount(t *testing.T) {
	for _, e := range deployment.Examples() {
		t.Run(e.Name, func(t *testing.T) {
			r := rig.New(t, rig.Options{State: stateFor(e)})
			if e.Role != rig.RoleName {
				role := awssim.Role{
					Name: e.Role, TrustPolicy: r.Issuer.TrustPolicy(rig.Namespace, e.ServiceAccount),
					Policies: []awssim.Document{rig.ReadSecrets, rig.ReadParameters},
				}
				if err := r.AWS.AddRole(role); err != nil {
					t.Fatal(err)
				}
			}
			classes, mounts := volumes(t, e.YAML())
			got := map[string]deployment.File{}
			for dir, class := range mounts {
				resp, err := r.Mount(rig.Mount{ServiceAccount: e.ServiceAccount, Class: class, Parameters: maps.Clone(classes[class])})
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range resp.GetFiles() {
					got[path.Join(dir, f.GetPath())] = deployment.File{Content: string(f.GetContents()), Mode: fs.FileMode(f.GetMode())}
				}
			}
			want := map[string]deployment.File{}
			for name, f := range e.Files {
				if f.Mode == 0 {
					f.Mode = 0o644
				}
				want[name] = f
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// stateFor is what AWS holds for the example.
func stateFor(e deployment.Example) awssim.State {
	var state awssim.State
	for _, s := range e.Secrets {
		secret := awssim.Secret{Region: rig.Region, Name: s.Name}
		for i, v := range s.Versions {
			version := awssim.SecretVersion{ID: v.ID, Value: v.Text, Binary: v.Binary}
			switch i {
			case len(s.Versions) - 1:
				version.Stages = []string{"AWSCURRENT"}
			case len(s.Versions) - 2:
				version.Stages = []string{"AWSPREVIOUS"}
			}
			secret.Versions = append(secret.Versions, version)
		}
		state.Secrets = append(state.Secrets, secret)
	}
	for _, p := range e.Parameters {
		parameter := awssim.Parameter{Region: rig.Region, Name: p.Name, Versions: p.Values, Labels: map[string]int64{}}
		if p.Secure {
			parameter.Type = "SecureString"
		}
		for _, label := range p.Labels {
			parameter.Labels[label] = 1
		}
		state.Parameters = append(state.Parameters, parameter)
	}
	return state
}

// volumes reads an example: the parameters of each SecretProviderClass, and the class that is mounted at each path.
func volumes(t *testing.T, text []byte) (classes map[string]map[string]string, mounts map[string]string) {
	t.Helper()
	classes, mounts = map[string]map[string]string{}, map[string]string{}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     struct {
				Parameters map[string]string
				Template   struct {
					Spec struct {
						Containers []struct {
							VolumeMounts []struct {
								Name      string
								MountPath string `yaml:"mountPath"`
							} `yaml:"volumeMounts"`
						}
						Volumes []struct {
							Name string
							CSI  struct {
								VolumeAttributes struct {
									Class string `yaml:"secretProviderClass"`
								} `yaml:"volumeAttributes"`
							}
						}
					}
				}
			}
		}
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			return classes, mounts
		} else if err != nil {
			t.Fatal(err)
		}
		if o.Kind == "SecretProviderClass" {
			classes[o.Metadata.Name] = o.Spec.Parameters
		}
		of := map[string]string{}
		for _, v := range o.Spec.Template.Spec.Volumes {
			of[v.Name] = v.CSI.VolumeAttributes.Class
		}
		for _, c := range o.Spec.Template.Spec.Containers {
			for _, m := range c.VolumeMounts {
				mounts[m.MountPath] = of[m.Name]
			}
		}
	}
}
