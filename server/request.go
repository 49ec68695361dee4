package server

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strconv"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/fault"
)

// Attributes that Kubernetes and the CSI driver add to a SecretProviderClass's parameters
// (pkg/secrets-store/nodeserver.go of the driver).
const (
	attrPodName        = "csi.storage.k8s.io/pod.name"
	attrPodNamespace   = "csi.storage.k8s.io/pod.namespace"
	attrPodUID         = "csi.storage.k8s.io/pod.uid"
	attrServiceAccount = "csi.storage.k8s.io/serviceAccount.name"
	attrTokens         = "csi.storage.k8s.io/serviceAccount.tokens"
	attrClass          = "secretProviderClass"
)

// volume is a decoded MountRequest.
type volume struct {
	pod        auth.Pod
	tokens     auth.Tokens
	className  string
	parameters map[string]string // of the SecretProviderClass, overridden by the pod's volumeAttributes
	targetPath string
	mode       fs.FileMode // of files without filePermission
}

// tenant is who shares the provider fairly with the others: the ServiceAccount. A pod author can use many identities,
// by roles and external ids, and gets no more of it.
func (v volume) tenant() string { return v.pod.Namespace + "/" + v.pod.ServiceAccount }

// key identifies the volume from its first mount to its last republish. It is empty when the token belongs to no pod:
// the secrets-store-sync-controller sends all requests with its own pod and one target path, so each is a first mount.
func (v volume) key(token auth.Token) string {
	if token.PodUID() == "" {
		return ""
	}
	return v.id()
}

// id is the key of a volume before its token is known.
func (v volume) id() string { return v.pod.UID + " " + v.targetPath }

// decode parses a request. An error never contains the attributes or the secrets, because both can hold tokens.
// With an error it also returns the fields parsed so far, for the log.
func decode(req *v1alpha1.MountRequest) (volume, error) {
	if err := checkSize(req); err != nil {
		return volume{}, err
	}
	var attributes map[string]string
	if json.Unmarshal([]byte(req.GetAttributes()), &attributes) != nil {
		return volume{}, badRequest("its attributes are not a JSON object of strings")
	}
	if len(attributes) > maxAttributeCount {
		return volume{}, tooLarge(fmt.Sprintf("it has %d attributes, at most %d are read", len(attributes), maxAttributeCount))
	}
	v := volume{
		pod: auth.Pod{
			Namespace: attributes[attrPodNamespace], ServiceAccount: attributes[attrServiceAccount],
			Name: attributes[attrPodName], UID: attributes[attrPodUID],
		},
		className:  attributes[attrClass],
		targetPath: req.GetTargetPath(),
	}
	if err := v.checkNames(); err != nil {
		return volume{}, err // for the log
	}
	tokens := attributes[attrTokens]
	if tokens == "" {
		// Kubernetes 1.35 and later can send the tokens in the secrets field (KEP-5538).
		var secrets map[string]string
		if text := req.GetSecrets(); text != "" && json.Unmarshal([]byte(text), &secrets) != nil {
			return v, badRequest("its secrets are not a JSON object of strings")
		}
		tokens = secrets[attrTokens]
	}
	delete(attributes, attrTokens)
	v.parameters = attributes

	mode, err := strconv.ParseUint(req.GetPermission(), 10, 32)
	switch {
	case err != nil || mode > 0o777:
		return v, badRequest("its permission " + fault.Quote(req.GetPermission()) + " is not a decimal number from 0 to 511")
	case v.targetPath == "":
		return v, badRequest("it has no target path")
	case v.pod.Namespace == "" || v.pod.ServiceAccount == "":
		return v, &fault.Error{
			Kind: fault.Identity, What: "cannot identify the pod", Why: "the CSI driver sent no pod information",
			Hint: "set podInfoOnMount: true in the CSIDriver object secrets-store.csi.k8s.io",
		}
	}
	v.mode = fs.FileMode(mode)
	v.tokens, err = auth.ParseTokens(tokens)
	return v, err
}
