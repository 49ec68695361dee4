package awssim

import "encoding/json"

// PodIdentityTrustPolicy is the trust policy of every role for EKS Pod Identity.
// Source: EKS User Guide, "Create IAM role with trust policy required by EKS Pod
// Identity".
const PodIdentityTrustPolicy Document = `{
  "Version": "2012-10-17",
  "Statement": [{
    "Effect": "Allow",
    "Principal": {"Service": "pods.eks.amazonaws.com"},
    "Action": ["sts:AssumeRole", "sts:TagSession"]
  }]
}`

// TrustOf returns a trust policy that lets roles, users or accounts (ARNs) assume
// the role and pass session tags. If externalID is not empty, it is required.
func TrustOf(externalID string, principals ...string) Document {
	statement := map[string]any{
		"Effect": "Allow", "Principal": map[string]any{"AWS": principals}, "Action": []string{"sts:AssumeRole", "sts:TagSession"},
	}
	if externalID != "" {
		statement["Condition"] = map[string]any{"StringEquals": map[string]string{"sts:ExternalId": externalID}}
	}
	return document(statement)
}

// AllowPolicy returns a permission policy that allows actions ("service:Name",
// with wildcards) on one resource (an ARN with wildcards, or "*").
func AllowPolicy(resource string, actions ...string) Document {
	return permission("Allow", resource, actions)
}

// DenyPolicy returns a permission policy that denies actions on one resource.
func DenyPolicy(resource string, actions ...string) Document {
	return permission("Deny", resource, actions)
}

func permission(effect, resource string, actions []string) Document {
	return document(map[string]any{"Effect": effect, "Action": actions, "Resource": resource})
}

// document returns a policy with one statement.
func document(statement map[string]any) Document {
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{statement}})
	if err != nil {
		panic(err) // strings and maps of strings always marshal
	}
	return Document(text)
}
