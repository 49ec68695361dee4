package class

import (
	"cmp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Other providers of the CSI driver. People bring parameters and fields of their classes along.
const (
	azure  = "the Azure provider"
	google = "the Google provider"
	vault  = "the Vault provider"
)

// foreignParams are the other providers' parameters, from the reference of each. usePodIdentity is also one of Azure's.
var foreignParams = map[string]string{
	"keyvaultName": azure, "tenantId": azure, "clientID": azure, "cloudName": azure, "userAssignedIdentityID": azure, "useVMManagedIdentity": azure,
	"secrets": google, "auth": google,
	"vaultAddress": vault, "vaultNamespace": vault, "vaultCACertPath": vault, "vaultSkipTLSVerify": vault, "vaultAuthMountPath": vault, "vaultKubernetesMountPath": vault, "roleName": vault,
}

// foreignFields are the fields of the other providers' objects.
var foreignFields = map[string]string{
	"objectFormat": azure, "objectVersionHistory": azure,
	"resourceName": google, "fileName": google,
	"secretPath": vault, "secretKey": vault, "secretArgs": vault,
}

// ourForm says how to write what another provider writes with a parameter or field.
var ourForm = map[string]string{
	"secrets":      "provider aws reads objects, a list of objectName and objectType",
	"roleName":     "the role is the annotation of the ServiceAccount, or roleArn",
	"resourceName": "provider aws reads objectName, the name or ARN in AWS",
	"fileName":     "provider aws reads objectAlias, the file's name",
	"secretPath":   "provider aws reads objectName, the name or ARN in AWS, and objectAlias, the file's name",
	"secretKey":    "provider aws reads jmesPath, a list of path (the key) and objectAlias (the file's name)",
}

// unknownName is the message for a parameter or field that was ignored. what is "parameter" or "field".
func unknownName(what, name string, foreign map[string]string, known []string) string {
	if provider := foreign[name]; provider != "" {
		return "is a " + what + " of " + provider + " and was ignored: " + cmp.Or(ourForm[name], "remove it")
	}
	near := DidYouMean(name, known)
	if near == "" && what == "parameter" && strings.Contains(strings.ToLower(name), "podidentity") {
		near = " (did you mean " + paramPodIdentity + "?)"
	}
	return "is not a known " + what + " and was ignored" + near
}

// notAList is the message for `objects` that are not a list.
func notAList(root *yaml.Node) string {
	if root.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(root.Content); i += 2 {
			if follow(root.Content[i]).Value == "array" {
				return "is in the form of " + azure + ", a list of texts under array: write a list instead, with - objectName: NAME and objectType: secretsmanager or ssmparameter for each object"
			}
		}
	}
	return "is " + kindName(root) + ", not a list: begin each object with a dash"
}

// notAMapping is the message for an element of a list that has no fields.
func notAMapping(node *yaml.Node) string {
	message := "is " + kindName(node) + ", not a mapping of fields"
	if node.Kind == yaml.ScalarNode && node.Style == yaml.LiteralStyle {
		message += ": the | after the dash is the form of " + azure + ", remove it"
	}
	return message
}
