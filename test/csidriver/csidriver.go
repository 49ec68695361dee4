// Package csidriver plays the Secrets Store CSI driver v1.6.1 for a provider: it sends the driver's
// requests over a client with the driver's settings, and writes the response with the driver's own
// writer.
package csidriver

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"sigs.k8s.io/secrets-store-csi-driver/pkg/util/fileutil"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// serviceConfig is the service config of the driver's client (pkg/secrets-store/provider_client.go).
const serviceConfig = `{"methodConfig":[{"name":[{"service":"v1alpha1.CSIDriverProvider"}],"waitForReady":true,
	"retryPolicy":{"MaxAttempts":3,"InitialBackoff":"1s","MaxBackoff":"10s","BackoffMultiplier":1.1,"RetryableStatusCodes":["UNAVAILABLE"]}}]}`

// Dial connects to a provider's socket. Like the driver's client it waits for a listener. Options come on top of
// the driver's.
func Dial(socket string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient("unix:"+socket, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority("localhost"),
		grpc.WithDefaultServiceConfig(serviceConfig),
	}, options...)...)
}

// Volume is a pod's volume in the terms of its author.
type Volume struct {
	Namespace, ServiceAccount, Pod, PodUID string
	Class                                  string            // name of the SecretProviderClass
	Parameters                             map[string]string // spec.parameters, overridden by the pod's volumeAttributes
	Tokens                                 map[string]string // audience → ServiceAccount token
	TokensInSecrets                        bool              // send the tokens in the secrets field, as Kubernetes 1.35 can
	Permission                             string            // decimal file mode; empty: "420"
}

// TargetPath is the directory of the volume on the node.
func (v Volume) TargetPath() string {
	return "/var/lib/kubelet/pods/" + v.PodUID + "/volumes/kubernetes.io~csi/secrets-store-inline/mount"
}

// Request returns the driver's request for the volume (nodeserver.go, NodePublishVolume).
func (v Volume) Request() (*v1alpha1.MountRequest, error) {
	type token struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expirationTimestamp"`
	}
	tokens := make(map[string]token, len(v.Tokens))
	for audience, t := range v.Tokens {
		tokens[audience] = token{Token: t, Expires: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
	}
	tokensJSON, err := json.Marshal(tokens)
	if err != nil {
		return nil, err
	}
	attributes := map[string]string{
		"csi.storage.k8s.io/pod.name":            v.Pod,
		"csi.storage.k8s.io/pod.namespace":       v.Namespace,
		"csi.storage.k8s.io/pod.uid":             v.PodUID,
		"csi.storage.k8s.io/serviceAccount.name": v.ServiceAccount,
		"csi.storage.k8s.io/ephemeral":           "true",
		"secretProviderClass":                    v.Class,
	}
	maps.Copy(attributes, v.Parameters)
	var secrets map[string]string
	const tokensKey = "csi.storage.k8s.io/serviceAccount.tokens"
	switch {
	case len(tokens) == 0:
	case v.TokensInSecrets:
		secrets = map[string]string{tokensKey: string(tokensJSON)}
	default:
		attributes[tokensKey] = string(tokensJSON)
	}
	attributesJSON, err := json.Marshal(attributes)
	if err != nil {
		return nil, err
	}
	secretsJSON, err := json.Marshal(secrets)
	if err != nil {
		return nil, err
	}
	permission := v.Permission
	if permission == "" {
		permission = "420"
	}
	return &v1alpha1.MountRequest{
		Attributes: string(attributesJSON), Secrets: string(secretsJSON), TargetPath: v.TargetPath(), Permission: permission,
	}, nil
}

// Mount calls the provider and writes the response to dir with the driver's own writer.
// It writes nothing when the provider or the writer fails.
func Mount(ctx context.Context, conn grpc.ClientConnInterface, v Volume, dir string) error {
	req, err := v.Request()
	if err != nil {
		return err
	}
	resp, err := v1alpha1.NewCSIDriverProviderClient(conn).Mount(ctx, req)
	if err != nil {
		return err
	}
	return Write(resp, dir)
}

// Write handles a response as the driver does (MountContent in provider_client.go).
func Write(resp *v1alpha1.MountResponse, dir string) error {
	if code := resp.GetError().GetCode(); code != "" {
		return fmt.Errorf("mount request failed with provider error code %s", code)
	}
	if resp.GetObjectVersion() == nil {
		return fmt.Errorf("missing object versions")
	}
	return fileutil.WritePayloads(dir, resp.GetFiles())
}

// File is a file as a container sees it.
type File struct {
	Mode    fs.FileMode // permission bits
	Content string
}

// Tree returns what a container sees below dir, a volume that Write has written: path to file.
func Tree(dir string) (map[string]File, error) {
	generation, err := os.Readlink(filepath.Join(dir, "..data"))
	if err != nil {
		return nil, err
	}
	files := map[string]File{}
	return files, fs.WalkDir(os.DirFS(filepath.Join(dir, generation)), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		visible := filepath.Join(dir, path) // through the symbolic links, as a container reads it
		info, err := os.Stat(visible)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(visible)
		files[path] = File{Mode: info.Mode().Perm(), Content: string(content)}
		return err
	})
}
