// Package e2e tests the provider on a real Kubernetes node with the real CSI driver (test/node). It uses our image, installed by
// our chart, against the strict AWS simulator (test/awssim).
//
// The provider reaches AWS as on any node. It calls the regular host names, and the node's HTTPS proxy leads to the simulator. The
// Pod Identity agent listens at its link-local address, as on every EKS node. STS trusts the API server's issuer and verifies the
// pods' projected tokens with the keys of its /openid/v1/jwks.
//
// One case, TestGuides, follows the README and the guides like a reader: with an AWS of its own, and the provider that its commands
// install.
//
// All other cases share one node, one provider and one AWS. Each case has its own namespace, ServiceAccount, role and secrets. Each case
// ends with two checks: its pods left no mounts, and the provider logged none of its secrets.
//
//	make e2e                                    run all cases
//	make e2e TESTFLAGS='-run TestUpgrade -v'    run one case
//	E2E_ARTEFACTS=FOLDER make e2e               keep the diagnostics of failures in FOLDER
package e2e
