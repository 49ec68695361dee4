// The initial secrets of the simulator, and the check that the real service could
// hold them (limits: AWS Secrets Manager User Guide, "Quotas").

package awssim

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// Secret is one initial secret of the simulator.
//
// Without Value, Binary and Versions it has no value, like a secret that was
// created by CreateSecret without a value.
type Secret struct {
	Region string `yaml:"region"`
	Name   string `yaml:"name"`
	// Suffix is the six characters at the end of the ARN. Default: random.
	Suffix string `yaml:"suffix"`
	// Value is the text of the only version, which is AWSCURRENT.
	Value string `yaml:"value"`
	// Binary is the same for a binary secret. It excludes Value.
	Binary Base64 `yaml:"binary"`
	// Versions are all versions, oldest first. They exclude Value and Binary.
	Versions []SecretVersion `yaml:"versions"`
	// Description and Tags (key → value) are for filters and descriptions.
	Description string            `yaml:"description"`
	Tags        map[string]string `yaml:"tags"`
	// OwningService is the service that manages the secret, "rds". Default: none.
	OwningService string `yaml:"owningService"`
	// PrimaryRegion is where a replicated secret comes from. Default: not replicated.
	PrimaryRegion string `yaml:"primaryRegion"`
	// KMSKeyID is a KMS key's ARN or id. Default: aws/secretsmanager. A read of a
	// secret with another key needs kms:Decrypt on its ARN.
	KMSKeyID string `yaml:"kmsKeyID"`
}

// SecretVersion is one version of a Secret.
type SecretVersion struct {
	ID     string `yaml:"id"`    // 32 to 64 characters; default: a random UUID
	Value  string `yaml:"value"` // text, or
	Binary Base64 `yaml:"binary"`
	// Stages are the staging labels. If no version has AWSCURRENT, the last one
	// gets it.
	Stages []string `yaml:"stages"`
}

// Base64 is binary data, written as base64 in YAML.
type Base64 []byte

// UnmarshalText decodes standard base64.
func (b *Base64) UnmarshalText(text []byte) error {
	decoded, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("binary value is not base64: %w", err)
	}
	*b = decoded
	return nil
}

// seed adds one secret to the store.
func (s *secretStore) seed(seed Secret) error {
	switch {
	case seed.Region == "":
		return errors.New("region is missing")
	case !secretName.MatchString(seed.Name):
		return errors.New("name must be 1 to 512 of letters, digits and /_+=.@-!")
	case seed.Suffix != "" && !arnSuffix.MatchString("-"+seed.Suffix):
		return fmt.Errorf("suffix %q is not six letters and digits", seed.Suffix)
	case s.regions[seed.Region][seed.Name] != nil:
		return errors.New("is there twice")
	case len(seed.Versions) > 0 && (seed.Value != "" || seed.Binary != nil):
		return errors.New("has versions beside a value of its own")
	}
	versions := seed.Versions
	if len(versions) == 0 && (seed.Value != "" || seed.Binary != nil) {
		versions = []SecretVersion{{Value: seed.Value, Binary: seed.Binary}}
	}
	now := s.now()
	sec := &secret{
		region: seed.Region, name: seed.Name, suffix: seed.Suffix, created: now, changed: now,
		description: seed.Description, owningService: seed.OwningService, primaryRegion: seed.PrimaryRegion, tags: tagList(seed.Tags),
	}
	if err := checkTags(sec.tags); err != nil {
		return err
	}
	if !s.setKey(sec, seed.KMSKeyID) {
		return fmt.Errorf("kmsKeyID %q is not a KMS key's ARN or id", seed.KMSKeyID)
	}
	if sec.suffix == "" {
		sec.suffix = newSuffix()
	}
	for i, v := range versions {
		version, err := seedVersion(v, now)
		if err != nil {
			return fmt.Errorf("version %d: %w", i+1, err)
		}
		if sec.version(version.id) != nil {
			return fmt.Errorf("version %d: id %s is there twice", i+1, version.id)
		}
		for stage := range version.stages {
			if sec.staged(stage) != nil {
				return fmt.Errorf("version %d: label %s stands on another version", i+1, stage)
			}
		}
		sec.versions = append(sec.versions, version)
	}
	if n := len(sec.versions); n > 0 && sec.staged(stageCurrent) == nil {
		sec.versions[n-1].stages[stageCurrent] = true
	}
	s.add(sec)
	return nil
}

// setKey sets the KMS key of a secret. It returns false if the key is not valid.
func (s *secretStore) setKey(sec *secret, keyID string) bool {
	arn, known := customerKey(keyID, secretKey, sec.region, s.account)
	sec.keyID, sec.keyARN = keyID, arn
	return known
}

func seedVersion(v SecretVersion, now time.Time) (*secretVersion, error) {
	version := &secretVersion{id: v.ID, created: now, stages: map[string]bool{}}
	if version.id == "" {
		version.id = newVersionID()
	}
	switch {
	case len(version.id) < minVersionIDLength || len(version.id) > maxVersionIDLength:
		return nil, fmt.Errorf("id %q is not 32 to 64 characters", v.ID)
	case (v.Value == "") == (len(v.Binary) == 0):
		return nil, errors.New("needs either a value or a binary")
	case len(v.Value) > maxSecretBytes || len(v.Binary) > maxSecretBytes:
		return nil, fmt.Errorf("is larger than %d bytes", maxSecretBytes)
	case len(v.Stages) > maxStages:
		return nil, fmt.Errorf("has more than %d labels", maxStages)
	}
	if v.Value != "" {
		version.value.text = &v.Value
	} else {
		version.value.binary = v.Binary
	}
	for _, stage := range v.Stages {
		if stage == "" || len(stage) > maxStageLength {
			return nil, fmt.Errorf("label %q is not 1 to 256 characters", stage)
		}
		version.stages[stage] = true
	}
	return version, nil
}
