// Package e2e proves the provider where it lives: on a real Kubernetes node with the real CSI driver (test/node), in our
// image from our Dockerfile, installed by our chart, against the strict AWS simulator (test/awssim).
//
// AWS is where a node finds it: the provider asks the ordinary host names, and the node's HTTPS proxy leads to the simulator. Its Pod
// Identity agent listens at the link-local address that it has on every EKS node. STS there trusts the API server's own issuer and
// verifies the pods' projected tokens with the keys of its /openid/v1/jwks.
//
// The node, the provider and AWS are brought up once. Each case has a namespace, a ServiceAccount, a role and secrets for itself, and
// at its end each asserts that its pods left nothing mounted and that the provider logged none of its secrets.
//
//	make e2e                                    all of it
//	make e2e TESTFLAGS='-run TestUpgrade -v'    one case
//	E2E_ARTEFACTS=FOLDER make e2e              keep there what explains a failure
package e2e
