//go:build e2e

package e2e

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"secrets-provider-aws/test/awssim"
)

// administrator creates secrets in AWS, like a user of the AWS CLI.
var administrator = awssim.User{
	Name: "administrator", AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	Policies: []awssim.Document{awssim.AllowPolicy("*", "secretsmanager:*", "ssm:*", "iam:*")},
}

// startAWS starts a simulator that the node can reach. change changes its configuration.
func (w *world) startAWS(change func(*awssim.Config)) error {
	ca, err := w.CACertificate()
	if err != nil {
		return err
	}
	if err := os.WriteFile(w.clusterCA(), ca, 0o600); err != nil {
		return err
	}
	cfg := awssim.Config{
		State:  awssim.State{OIDCProviders: []awssim.OIDCProvider{w.issuer()}, Users: []awssim.User{administrator}},
		Listen: net.JoinHostPort(w.HostAddress(), "0"), TLS: true, PodIdentityListen: "-",
	}
	change(&cfg)
	w.aws, err = awssim.Start(cfg)
	return err
}

// issuer registers the cluster as an IAM OIDC provider, as IRSA requires. STS fetches the keys from it.
func (w *world) issuer() awssim.OIDCProvider {
	return awssim.OIDCProvider{Issuer: w.Issuer(), CAFile: w.clusterCA()}
}

func (w *world) clusterCA() string { return filepath.Join(w.folder, "cluster-ca.crt") }

// secretsManager and parameterStore are the administrator's clients.
func (w *world) secretsManager() *secretsmanager.Client {
	return secretsmanager.NewFromConfig(w.awsConfig())
}

func (w *world) parameterStore() *ssm.Client { return ssm.NewFromConfig(w.awsConfig()) }

func (w *world) awsConfig() aws.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.aws.CAPEM())
	key := aws.Credentials{AccessKeyID: administrator.AccessKeyID, SecretAccessKey: administrator.SecretAccessKey}
	return aws.Config{
		Region: region, BaseEndpoint: aws.String(w.aws.URL()), Credentials: credentials.StaticCredentialsProvider{Value: key},
		HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.Proxy = nil
			t.TLSClientConfig.RootCAs = roots
		}),
	}
}

// trust is the usual trust policy of a role for one ServiceAccount of the cluster.
func (w *world) trust(namespace, serviceAccount string) awssim.Document {
	return w.trustIn(account, namespace, serviceAccount)
}

// trustIn is like trust for a role in another account. The cluster's issuer is an OIDC provider in that account too.
func (w *world) trustIn(account, namespace, serviceAccount string) awssim.Document {
	issuer := strings.TrimPrefix(w.Issuer(), "https://")
	return awssim.Document(fmt.Sprintf(`{
		"Version": "2012-10-17",
		"Statement": [{
			"Effect": "Allow",
			"Principal": {"Federated": "arn:aws:iam::%[1]s:oidc-provider/%[2]s"},
			"Action": "sts:AssumeRoleWithWebIdentity",
			"Condition": {"StringEquals": {
				"%[2]s:sub": "system:serviceaccount:%[3]s:%[4]s",
				"%[2]s:aud": "%[5]s"
			}}
		}]
	}`, account, issuer, namespace, serviceAccount, audience))
}

func (c *tenant) roleARN() string { return "arn:aws:iam::" + account + ":role/" + c.namespace }

// setRole creates a role that may read this tenant's secrets and parameters.
func (c *tenant) setRole(name string, trust awssim.Document) {
	c.t.Helper()
	c.must(c.aws.SetRole(awssim.Role{Name: name, TrustPolicy: trust, Policies: []awssim.Document{
		awssim.AllowPolicy("arn:aws:secretsmanager:*:"+account+":secret:"+c.namespace+"*", "secretsmanager:GetSecretValue"),
		awssim.AllowPolicy("arn:aws:ssm:*:"+account+":parameter/"+c.namespace+"*", "ssm:GetParameters"),
	}}))
}

// secret sets the secret's value and returns its name in Secrets Manager.
func (c *tenant) secret(name, value string) string {
	c.values = append(c.values, value)
	c.aws.PutSecret(region, c.namespace+"/"+name, value)
	return c.namespace + "/" + name
}

// binarySecret creates a binary secret.
func (c *tenant) binarySecret(name string, value []byte) string {
	c.t.Helper()
	_, err := c.secretsManager().CreateSecret(c.ctx, &secretsmanager.CreateSecretInput{Name: aws.String(c.namespace + "/" + name), SecretBinary: value})
	c.must(err)
	return c.namespace + "/" + name
}

// parameter sets the parameter's value and returns its name in SSM Parameter Store.
func (c *tenant) parameter(name, value string) string {
	c.values = append(c.values, value)
	c.aws.PutParameter(region, "/"+c.namespace+"/"+name, value)
	return "/" + c.namespace + "/" + name
}

// requests returns the requests of an operation ("GetSecretValue") for one object, also those without a response.
func (c *tenant) requests(operation, object string) []awssim.Call {
	var found []awssim.Call
	for _, call := range c.aws.CallLog() {
		if call.Operation == operation && strings.Contains(call.Object, object) {
			found = append(found, call)
		}
	}
	return found
}

// reads counts the requests for a secret's value.
func (c *tenant) reads(secret string) int { return len(c.requests("GetSecretValue", secret)) }

// exchanges counts the requests to STS for this tenant's role.
func (c *tenant) exchanges() int {
	count := 0
	for _, call := range c.requests("AssumeRoleWithWebIdentity", c.roleARN()) {
		if call.Object == c.roleARN() {
			count++
		}
	}
	return count
}
