package server

import (
	"fmt"
	"regexp"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/internal/fault"
)

// Bounds on a request. A pod author writes most of it, and the driver hands it over as it is: Kubernetes takes
// 1.5 MiB in a SecretProviderClass and as much in a pod, and JSON makes up to six times of that.
const (
	maxAttributes     = 1 << 20 // bytes of JSON
	maxSecrets        = 2 << 20 // bytes of JSON; a Secret holds up to 1 MiB
	maxAttributeCount = 256     // parameters and what the driver adds
	maxTargetPath     = 4096    // bytes, PATH_MAX
)

// checkSize refuses a request that is too large to be read at all.
func checkSize(req *v1alpha1.MountRequest) error {
	switch {
	case len(req.GetAttributes()) > maxAttributes:
		return tooLarge(fmt.Sprintf("its attributes are %d bytes long, at most %d are read", len(req.GetAttributes()), maxAttributes))
	case len(req.GetSecrets()) > maxSecrets:
		return tooLarge(fmt.Sprintf("its secrets are %d bytes long, at most %d are read", len(req.GetSecrets()), maxSecrets))
	}
	return nil
}

func tooLarge(why string) error {
	return &fault.Error{
		Kind: fault.Class, What: "cannot read the CSI driver's request", Why: why,
		Hint: "shorten the parameters of the SecretProviderClass, the pod's volumeAttributes or the secret of nodePublishSecretRef",
	}
}

// nameRE takes every name and uid of Kubernetes, and nothing that would make a message more than one line.
var nameRE = regexp.MustCompile(`^[[:print:]]{0,253}$`)

// checkNames refuses a request whose names cannot be those of Kubernetes: it did not come from the driver.
// Unbounded, one could fill the log.
func (v volume) checkNames() error {
	for _, name := range []struct{ attribute, value string }{
		{attrPodNamespace, v.pod.Namespace}, {attrServiceAccount, v.pod.ServiceAccount}, {attrPodName, v.pod.Name}, {attrPodUID, v.pod.UID}, {attrClass, v.className},
	} {
		if !nameRE.MatchString(name.value) {
			return badRequest("its " + name.attribute + " " + fault.Quote(name.value) + " cannot be a name of Kubernetes")
		}
	}
	if len(v.targetPath) > maxTargetPath {
		return badRequest(fmt.Sprintf("its target path is longer than %d bytes", maxTargetPath))
	}
	return nil
}

func badRequest(why string) error {
	return &fault.Error{
		Kind: fault.Class, What: "cannot read the CSI driver's request", Why: why,
		Hint: "only the Secrets Store CSI driver v1.x may use this socket",
	}
}
