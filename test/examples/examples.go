// Package examples sets up the IAM resources of an example in the AWS simulator. Tests of the examples use it in one process and on a
// real node.
package examples

import (
	"fmt"
	"strings"

	"secrets-provider-aws/deployment"
	"secrets-provider-aws/test/awssim"
)

// Namespace is the namespace of all examples.
const Namespace = "payments"

// Grant creates the roles of e and its EKS Pod Identity association. issuer is the cluster's issuer, with an https URL.
func Grant(sim *awssim.Sim, e deployment.Example, issuer awssim.OIDCProvider) error {
	for _, r := range e.Roles {
		parts := strings.Split(r.ARN, ":")
		partition, account := parts[1], parts[4]
		if partition != "aws" || account != awssim.DefaultAccount {
			other := issuer
			other.Partition, other.Account = partition, account
			if err := sim.AddOIDCProvider(other); err != nil {
				return err
			}
		}
		role := awssim.Role{ARN: r.ARN, TrustPolicy: trust(r, e.ServiceAccount, partition, account, issuer), Policies: []awssim.Document{awssim.Document(r.Permissions)}}
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

// trust returns the role's trust policy, with the cluster's issuer instead of EKS's.
func trust(r deployment.Role, serviceAccount, partition, account string, issuer awssim.OIDCProvider) awssim.Document {
	host := strings.TrimPrefix(issuer.Issuer, "https://")
	if r.Trust != "" {
		return awssim.Document(strings.ReplaceAll(r.Trust, "oidc.eks.ap-south-1.amazonaws.com/id/EXAMPLE", host))
	}
	return awssim.Document(fmt.Sprintf(`{
		"Version": "2012-10-17",
		"Statement": [{
			"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
			"Principal": {"Federated": "arn:%[4]s:iam::%[1]s:oidc-provider/%[2]s"},
			"Condition": {"StringEquals": {"%[2]s:sub": "system:serviceaccount:%[3]s", "%[2]s:aud": "sts.amazonaws.com"}}
		}]
	}`, account, host, Namespace+":"+serviceAccount, partition))
}
