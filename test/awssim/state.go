package awssim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	yaml "go.yaml.in/yaml/v3"
)

// DefaultAccount is the account of a State without one.
const DefaultAccount = "123456789012"

// State is the initial content of the simulator. YAML field names are lowerCamel:
// account, oidcProviders, roles and so on.
type State struct {
	// Account is the 12-digit account that owns the secrets and parameters.
	// Default: DefaultAccount.
	Account                 string                   `yaml:"account"`
	OIDCProviders           []OIDCProvider           `yaml:"oidcProviders"`
	Roles                   []Role                   `yaml:"roles"`
	Users                   []User                   `yaml:"users"`
	Secrets                 []Secret                 `yaml:"secrets"`
	Parameters              []Parameter              `yaml:"parameters"`
	PodIdentityAssociations []PodIdentityAssociation `yaml:"podIdentityAssociations"`
	// STSDisabledRegions lists regions in which the account has not activated
	// STS. Calls there return RegionDisabledException.
	STSDisabledRegions []string `yaml:"stsDisabledRegions"`
}

// OIDCProvider is an IAM OIDC identity provider. STS accepts tokens of its issuer
// after verifying them with the issuer's published keys.
type OIDCProvider struct {
	// Issuer is the URL in the tokens' "iss" claim, scheme included.
	Issuer string `yaml:"issuer" json:"issuer"`
	// Account owns the provider. Default: the state's account.
	Account string `yaml:"account" json:"account"`
	// Partition is aws, aws-cn or aws-us-gov. Default: aws.
	Partition string `yaml:"partition" json:"partition"`
	// ClientIDs are the audiences that the provider accepts. Default:
	// sts.amazonaws.com.
	ClientIDs []string `yaml:"clientIDs" json:"clientIDs"`
	// DiscoveryURL is the URL of the discovery document, or its base. Default:
	// Issuer + "/.well-known/openid-configuration".
	DiscoveryURL string `yaml:"discoveryURL" json:"discoveryURL"`
	// JWKSURL overrides the jwks_uri of the discovery document, for an API
	// server that publishes an unreachable address.
	JWKSURL string `yaml:"jwksURL" json:"jwksURL"`
	// CAFile holds PEM certificates to trust for the two fetches. Default: the
	// system's.
	CAFile string `yaml:"caFile" json:"caFile"`
	// BearerTokenFile holds a token for the two fetches, for an API server that
	// does not publish its keys anonymously. It is read for every fetch.
	BearerTokenFile string `yaml:"bearerTokenFile" json:"bearerTokenFile"`
}

// Role is an IAM role.
type Role struct {
	// Name of the role. Default: from ARN.
	Name string `yaml:"name" json:"name"`
	// Path of the role. Default: "/". It is in the ARN, not in session ARNs.
	Path string `yaml:"path" json:"path"`
	// ARN overrides arn:aws:iam::<state's account>:role<path><name>. It allows
	// a role in another account or partition.
	ARN string `yaml:"arn" json:"arn"`
	// TrustPolicy defines who may assume the role. Empty = nobody.
	TrustPolicy Document `yaml:"trustPolicy" json:"trustPolicy"`
	// Policies define what sessions of the role may do. Empty = nothing.
	Policies []Document `yaml:"policies" json:"policies"`
	// MaxSessionDuration is in seconds, 3600 to 43200. Default: 3600.
	MaxSessionDuration int `yaml:"maxSessionDuration" json:"maxSessionDuration"`
	// Tags become aws:PrincipalTag/<key> of the role's sessions.
	Tags map[string]string `yaml:"tags" json:"tags"`
}

// User is an IAM user with one static access key.
type User struct {
	Name            string            `yaml:"name"`
	AccessKeyID     string            `yaml:"accessKeyID"`
	SecretAccessKey string            `yaml:"secretAccessKey"`
	Policies        []Document        `yaml:"policies"`
	Tags            map[string]string `yaml:"tags"`
}

// PodIdentityAssociation gives a role to the pods of one ServiceAccount, through
// the EKS Pod Identity agent.
type PodIdentityAssociation struct {
	Namespace      string `yaml:"namespace" json:"namespace"`
	ServiceAccount string `yaml:"serviceAccount" json:"serviceAccount"`
	RoleARN        string `yaml:"roleARN" json:"roleARN"`
	// ClusterName is the session tag eks-cluster-name. Default: "awssim".
	ClusterName string `yaml:"clusterName" json:"clusterName"`
}

// Document is an IAM policy document as JSON text. In YAML, and in the admin
// API's JSON, it may also be an object.
type Document string

// UnmarshalYAML accepts JSON text or a mapping.
func (d *Document) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*d = Document(node.Value)
		return nil
	}
	var content any
	if err := node.Decode(&content); err != nil {
		return err
	}
	text, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("line %d: the policy document cannot be written as JSON: %w", node.Line, err)
	}
	*d = Document(text)
	return nil
}

// UnmarshalJSON accepts a string with JSON text, or an object.
func (d *Document) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		*d = Document(text)
		return nil
	}
	*d = Document(bytes.Clone(data))
	return nil
}

// LoadState reads a state from a YAML file. It refuses an unknown field, with its
// line, and a second YAML document.
func LoadState(path string) (State, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return State{}, fmt.Errorf("read state: %w", err)
	}
	var state State
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&state); err != nil && !errors.Is(err, io.EOF) {
		return State{}, fmt.Errorf("state %s: %w", path, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return State{}, fmt.Errorf("state %s: more than one YAML document", path)
	}
	return state, nil
}
