// Package examples gives a simulated AWS what the pods of an example need of IAM, for the tests of the examples in one process
// and on a real node.
package examples

import (
	"fmt"
	"strings"

	"secrets-provider-aws/deployment"
	"secrets-provider-aws/test/awssim"
)

// Namespace is that of all examples.
const Namespace = "payments"

// Grant makes the roles of e, and its association with EKS Pod Identity. issuer is the cluster's, at an https URL.
func Grant(sim *awssim.Sim, e deployment.Example, issuer awssim.OIDCProvider) error {
	for _, r := range e.Roles {
		account := strings.Split(r.ARN, ":")[4]
		if account != awssim.DefaultAccount {
			theirs := issuer
			theirs.Account = account
			if err := sim.AddOIDCProvider(theirs); err != nil {
				return err
			}
		}
		role := awssim.Role{ARN: r.ARN, TrustPolicy: trust(r, e.ServiceAccount, account, issuer), Policies: []awssim.Document{awssim.Document(r.Permissions)}}
		if r.Permissions == "" {
			role.Policies = []awssim.Document{awssim.AllowPolicy("*", "secretsmanager:GetSecretValue", "ssm:GetParameters")}
		}
		if err := sim.SetRole(role); err != nil {
			return err
		}
	}
	if !e.PodIdentity {
		return nil
	}
	return sim.AddPodIdentityAssociation(awssim.PodIdentityAssociation{Namespace: Namespace, ServiceAccount: e.ServiceAccount, RoleARN: e.Roles[0].ARN})
}

// trust is the role's trust policy, with the cluster's issuer in the place of EKS's.
func trust(r deployment.Role, serviceAccount, account string, issuer awssim.OIDCProvider) awssim.Document {
	host := strings.TrimPrefix(issuer.Issuer, "https://")
	if r.Trust != "" {
		return awssim.Document(strings.ReplaceAll(r.Trust, "oidc.eks.ap-south-1.amazonaws.com/id/EXAMPLE", host))
	}
	return awssim.Document(fmt.Sprintf(`{
		"Version": "2012-10-17",
		"Statement": [{
			"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
			"Principal": {"Federated": "arn:aws:iam::%[1]s:oidc-provider/%[2]s"},
			"Condition": {"StringEquals": {"%[2]s:sub": "system:serviceaccount:%[3]s:%[4]s", "%[2]s:aud": "sts.amazonaws.com"}}
		}]
	}`, account, host, Namespace, serviceAccount))
}
