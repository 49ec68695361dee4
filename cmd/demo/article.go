package main

import (
	"embed"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"
	"sigs.k8s.io/yaml"

	"secrets-provider-aws/test/awssim"
)

//go:embed article
var articleFiles embed.FS

const (
	roleAnnotation = "eks.amazonaws.com/role-arn"
	issuerMark     = "OIDC_ISSUER" // in the trust policy: the cluster's issuer without https://
)

// article holds the manifests and policies that mount two secrets. The demo prints each file unchanged
// and parses the same text with the types of Kubernetes and of the driver. It therefore cannot print a
// field that does not exist.
type article struct {
	serviceAccountText string
	serviceAccount     corev1.ServiceAccount
	podText            string
	pod                corev1.Pod
	classText          string
	class              secretsstore.SecretProviderClass
	trustPolicy        string // with issuerMark
	permissionPolicy   string
}

func readArticle() (*article, error) {
	a := &article{}
	for name, text := range map[string]*string{
		"serviceaccount.yaml": &a.serviceAccountText, "pod.yaml": &a.podText, "secretproviderclass.yaml": &a.classText,
		"trust-policy.json": &a.trustPolicy, "permission-policy.json": &a.permissionPolicy,
	} {
		content, err := articleFiles.ReadFile("article/" + name)
		if err != nil {
			return nil, err
		}
		*text = string(content)
	}
	for text, object := range map[string]any{
		a.serviceAccountText: &a.serviceAccount, a.podText: &a.pod, a.classText: &a.class,
	} {
		if err := yaml.UnmarshalStrict([]byte(text), object); err != nil {
			return nil, fmt.Errorf("read a manifest: %w", err)
		}
	}
	return a, nil
}

// roleARN is the role in the ServiceAccount's annotation.
func (a *article) roleARN() string { return a.serviceAccount.Annotations[roleAnnotation] }

// role is that role, with its policies.
func (a *article) role(issuer *awssim.Issuer) awssim.Role {
	return awssim.Role{
		ARN:         a.roleARN(),
		TrustPolicy: awssim.Document(a.trust(issuer)),
		Policies:    []awssim.Document{awssim.Document(a.permissionPolicy)},
	}
}

// trust is the trust policy, with the issuer filled in.
func (a *article) trust(issuer *awssim.Issuer) string {
	return strings.ReplaceAll(a.trustPolicy, issuerMark, strings.TrimPrefix(issuer.URL(), "https://"))
}

// region is the region of the SecretProviderClass.
func (a *article) region() string { return a.class.Spec.Parameters["region"] }

// podOf copies the article's pod with another name and ServiceAccount.
func (a *article) podOf(name, serviceAccount string) corev1.Pod {
	pod := *a.pod.DeepCopy()
	pod.Name, pod.Spec.ServiceAccountName = name, serviceAccount
	return pod
}
