package node

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"slices"
	"time"
)

// accounts are the node's own clients of the API server, with their user names and groups. Except for admin, they have only the rights
// that Kubernetes' default roles grant to these names. The driver and the workloads are not listed: they use ServiceAccount tokens.
var accounts = map[string]struct{ user, groups string }{
	"admin":                   {"admin", "system:masters"},
	"kubelet":                 {"system:node:" + nodeName, "system:nodes"},
	"kube-controller-manager": {"system:kube-controller-manager", ""},
	"kube-scheduler":          {"system:kube-scheduler", ""},
}

// writeIdentities creates the node's certificate authority, its certificates, the key that signs ServiceAccount tokens, the static
// tokens of the accounts, and a kubeconfig for each. Every node has new ones.
func writeIdentities(l layout) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	if err := writeCertificate(l, "ca", ca, ca, caKey, caKey); err != nil {
		return err
	}
	leaves := map[string]*x509.Certificate{
		"apiserver": {
			Subject: pkix.Name{CommonName: "kube-apiserver"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			DNSNames:    []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"},
			IPAddresses: []net.IP{net.ParseIP(kubernetesService), net.ParseIP(l.nodeAddress()), net.IPv4(127, 0, 0, 1)},
		},
		// The API server's client certificate for the kubelet, for logs and exec.
		"kubelet-client": {
			Subject:     pkix.Name{CommonName: "kube-apiserver-kubelet-client", Organization: []string{"system:masters"}},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		},
	}
	for i, name := range slices.Sorted(maps.Keys(leaves)) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		leaf := leaves[name]
		leaf.SerialNumber, leaf.KeyUsage = big.NewInt(int64(i+2)), x509.KeyUsageDigitalSignature
		leaf.NotBefore, leaf.NotAfter = ca.NotBefore, ca.NotAfter
		if err := writeCertificate(l, name, leaf, ca, key, caKey); err != nil {
			return err
		}
	}
	// RSA, as on every EKS cluster: STS verifies RS256.
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	if err := writeKey(l, "service-account", signer); err != nil {
		return err
	}
	return writeAccounts(l)
}

func writeAccounts(l layout) error {
	var tokens bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(accounts)) {
		token := rand.Text()
		fmt.Fprintf(&tokens, "%s,%s,%s,%q\n", token, accounts[name].user, name, accounts[name].groups)
		if err := writeFile(l.run("pki", name+".token"), []byte(token), 0o600); err != nil {
			return err
		}
		kubeconfig := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: node
clusters: [{name: node, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: %s, user: {token: %s}}]
contexts: [{name: node, context: {cluster: node, user: %s}}]
`, l.apiServer(), l.run("pki", "ca.crt"), name, token, name)
		if err := writeFile(l.run("kubeconfig", name), []byte(kubeconfig), 0o600); err != nil {
			return err
		}
	}
	return writeFile(l.run("pki", "tokens.csv"), tokens.Bytes(), 0o600)
}

func writeCertificate(l layout, name string, certificate, issuer *x509.Certificate, key, issuerKey crypto.Signer) error {
	der, err := x509.CreateCertificate(rand.Reader, certificate, issuer, key.Public(), issuerKey)
	if err != nil {
		return err
	}
	if err := writePEM(l, name+".crt", "CERTIFICATE", der); err != nil {
		return err
	}
	return writeKey(l, name, key)
}

func writeKey(l layout, name string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(l, name+".key", "PRIVATE KEY", der)
}

func writePEM(l layout, file, kind string, der []byte) error {
	return writeFile(l.run("pki", file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
