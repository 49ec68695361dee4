package server

import (
	"regexp"

	"secrets-provider-aws/provider/fault"
)

// Bounds on what the driver says of a pod. It takes all of it from Kubernetes, which holds names to less than
// this, so that anything else did not come from the driver. Unbounded, one request could fill the log.
const maxTargetPath = 4096 // bytes, PATH_MAX

// nameRE takes every name and uid of Kubernetes, and nothing that would make a message more than one line.
var nameRE = regexp.MustCompile(`^[ -~]{0,253}$`)

// checkNames refuses a request whose names cannot be those of Kubernetes.
func (v volume) checkNames() error {
	for _, name := range []struct{ attribute, value string }{
		{attrPodNamespace, v.pod.Namespace}, {attrServiceAccount, v.pod.ServiceAccount}, {attrPodName, v.pod.Name}, {attrPodUID, v.pod.UID}, {attrClass, v.className},
	} {
		if !nameRE.MatchString(name.value) {
			return badRequest("its " + name.attribute + " " + fault.Quote(name.value) + " cannot be a name of Kubernetes")
		}
	}
	if len(v.targetPath) > maxTargetPath {
		return badRequest("its target path is longer than 4096 bytes")
	}
	return nil
}
