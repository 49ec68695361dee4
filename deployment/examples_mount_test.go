package deployment_test

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/deployment"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/examples"
	"secrets-provider-aws/test/rig"
)

// The provider mounts each example and each guide with the AWS objects of its description and the ServiceAccounts of its
// manifests. The end-to-end test does the same on a real node, in minutes. This one finds a wrong example in a second.
func TestExamples_Mount(t *testing.T) {
	for _, e := range slices.Concat(deployment.Examples(), deployment.Guides()) {
		t.Run(e.Name, func(t *testing.T) {
			r := rig.New(t, rig.Options{State: stateFor(e), TLS: true, AWS: awsclient.Options{MaxAttempts: 1}})
			if err := examples.Grant(r.AWS, e, awssim.OIDCProvider{Issuer: r.Issuer.URL()}); err != nil {
				t.Fatal(err)
			}
			for name, annotations := range annotations(t, e.YAML()) {
				r.Kube.SetServiceAccount(rig.Namespace, name, annotations)
			}
			if diff := gocmp.Diff(withModes(e.Files), mounted(t, r, e)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if e.Elsewhere == nil {
				return
			}
			for _, service := range []string{"secretsmanager", "ssm"} {
				t.Cleanup(r.AWS.Inject(awssim.Fault{Service: service, Region: rig.Region, Status: 500}))
			}
			if diff := gocmp.Diff(withModes(e.Elsewhere), mounted(t, r, e)); diff != "" {
				t.Errorf("files while %s fails (-want +got):\n%s", rig.Region, diff)
			}
		})
	}
}

// mounted mounts the volumes of the example and returns their files.
func mounted(t *testing.T, r *rig.Rig, e deployment.Example) map[string]deployment.File {
	t.Helper()
	classes, mounts := volumes(t, e.YAML())
	files := map[string]deployment.File{}
	for dir, class := range mounts {
		resp, err := r.Mount(rig.Mount{ServiceAccount: e.ServiceAccount, Class: class, Parameters: maps.Clone(classes[class])})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range resp.GetFiles() {
			files[path.Join(dir, f.GetPath())] = deployment.File{Content: string(f.GetContents()), Mode: fs.FileMode(f.GetMode())}
		}
	}
	return files
}

func withModes(files map[string]deployment.File) map[string]deployment.File {
	all := map[string]deployment.File{}
	for name, f := range files {
		if f.Mode == 0 {
			f.Mode = 0o644
		}
		all[name] = f
	}
	return all
}

// annotations returns the annotations of each ServiceAccount, by its name.
func annotations(t *testing.T, text []byte) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for _, o := range objects(t, string(text)) {
		if o.Kind == "ServiceAccount" {
			all[o.Metadata.Name] = o.Metadata.Annotations
		}
	}
	return all
}

// stateFor is the state of AWS for the example.
func stateFor(e deployment.Example) awssim.State {
	var state awssim.State
	for _, s := range e.Secrets {
		secret := awssim.Secret{Region: cmp.Or(s.Region, rig.Region), Name: s.Name, KMSKeyID: s.KMSKey}
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

// volumes returns the parameters of each SecretProviderClass, and the class at each mount path.
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
