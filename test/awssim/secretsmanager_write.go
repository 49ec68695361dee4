// AWS Secrets Manager: the write operations.
//
// Sources: API reference of CreateSecret, PutSecretValue,
// UpdateSecretVersionStage, DeleteSecret and RestoreSecret. Three error texts are
// recorded from the live service (LocalStack's snapshots of 2022 and 2023):
// ResourceExistsException, a missing ClientRequestToken, and a name that is
// scheduled for deletion.

package awssim

import (
	"cmp"
	"strings"
	"time"
)

const (
	minRecoveryDays     = 7
	maxRecoveryDays     = 30
	defaultRecoveryDays = 30
)

// valueInput is the common part of CreateSecret and PutSecretValue.
type valueInput struct {
	token  *string
	text   *string
	binary []byte
}

func (in valueInput) limits(limits *constraints) {
	limits.text("clientRequestToken", in.token, minVersionIDLength, maxVersionIDLength)
	if in.text != nil {
		limits.sensitive("secretString", len(*in.text), 1, maxSecretBytes)
	}
	if in.binary != nil {
		limits.sensitive("secretBinary", len(in.binary), 1, maxSecretBytes)
	}
}

// value checks the rules beyond the length constraints.
func (in valueInput) value(needed bool) (secretValue, *apiError) {
	value := secretValue{text: in.text, binary: in.binary}
	switch {
	case in.token == nil: // every SDK sends one
		return value, clientError("InvalidRequestException",
			"You must provide a ClientRequestToken value. We recommend a UUID-type value.")
	case in.text != nil && in.binary != nil:
		return value, clientError("InvalidParameterException",
			"You can't specify both a binary secret value and a string secret value in the same secret.")
	case needed && !value.given():
		return value, clientError("InvalidRequestException",
			"You must provide either SecretString or SecretBinary.")
	}
	return value, nil
}

func (s *secretStore) tokenInUse(sec *secret, token string) *apiError {
	return clientError("ResourceExistsException",
		"You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token, s.arn(sec))
}

func (s *secretStore) createSecret(c *call) (any, *apiError) {
	var in struct {
		Name, ClientRequestToken, Description, SecretString *string
		SecretBinary                                        []byte
		KmsKeyID                                            *string `json:"KmsKeyId"`
		Tags                                                []secretTag
	}
	if err := decodeInput(c.Body, &in); err != nil {
		return nil, err
	}
	c.Object = deref(in.Name)
	given := valueInput{in.ClientRequestToken, in.SecretString, in.SecretBinary}
	var limits constraints
	limits.needText("name", in.Name, 512)
	limits.text("description", in.Description, 0, 2048)
	given.limits(&limits)
	if err := limits.err(); err != nil {
		return nil, err
	}
	name := *in.Name
	if !secretName.MatchString(name) || strings.Contains(name, "!") {
		return nil, invalidSecretName()
	}
	if err := s.authorize(c, "CreateSecret", name); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 { // "To create a secret with tags, you must have secretsmanager:TagResource."
		if err := s.authorize(c, "TagResource", name); err != nil {
			return nil, err
		}
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, clientError("InvalidParameterException", "The request %v.", err)
	}
	value, err := given.value(false)
	if err != nil {
		return nil, err
	}
	token := *in.ClientRequestToken

	type output struct {
		ARN       string
		Name      string
		VersionID string `json:"VersionId,omitempty"` // omitted without a value
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sec := s.find(c.Region, name, c.Now); sec != nil {
		version := sec.version(token)
		switch {
		case !sec.purgeAt.IsZero():
			return nil, clientError("InvalidRequestException",
				"You can't create this secret because a secret with this name is already scheduled for deletion.")
		case version == nil:
			return nil, clientError("ResourceExistsException", "The operation failed because the secret %s already exists.", name)
		case !version.value.equal(value):
			return nil, s.tokenInUse(sec, token)
		}
		return output{s.arn(sec), name, token}, nil // a retry of the same request
	}
	sec := &secret{
		region: c.Region, name: name, suffix: newSuffix(), description: deref(in.Description),
		created: c.Now, changed: c.Now, tags: in.Tags,
	}
	if !s.setKey(sec, deref(in.KmsKeyID)) {
		return nil, clientError("InvalidParameterException", "The KMS key %s is not valid.", *in.KmsKeyID)
	}
	s.add(sec)
	out := output{ARN: s.arn(sec), Name: name}
	if value.given() {
		out.VersionID = sec.addVersion(token, value, []string{stageCurrent}, c.Now).id
	}
	return out, nil
}

func (s *secretStore) putSecretValue(c *call) (any, *apiError) {
	var in struct {
		SecretID                         *string `json:"SecretId"`
		ClientRequestToken, SecretString *string
		SecretBinary                     []byte
		VersionStages                    []string
	}
	if err := decodeInput(c.Body, &in); err != nil {
		return nil, err
	}
	c.Object = deref(in.SecretID)
	given := valueInput{in.ClientRequestToken, in.SecretString, in.SecretBinary}
	var limits constraints
	limits.needText("secretId", in.SecretID, maxSecretIDLength)
	given.limits(&limits)
	stages := in.VersionStages
	if stages != nil {
		limits.list("versionStages", stages, maxStages, maxStageLength)
	} else {
		stages = []string{stageCurrent}
	}
	if err := s.begin(c, "PutSecretValue", in.SecretID, &limits); err != nil {
		return nil, err
	}
	value, err := given.value(true)
	if err != nil {
		return nil, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.lookup(c, *in.SecretID, false)
	if err != nil {
		return nil, err
	}
	version := sec.version(*in.ClientRequestToken)
	switch {
	case version == nil:
		version = sec.addVersion(*in.ClientRequestToken, value, stages, c.Now)
	case !version.value.equal(value):
		return nil, s.tokenInUse(sec, *in.ClientRequestToken)
	}
	return struct {
		ARN, Name     string
		VersionID     string `json:"VersionId"`
		VersionStages []string
	}{s.arn(sec), sec.name, version.id, version.stageNames()}, nil
}

func (s *secretStore) updateSecretVersionStage(c *call) (any, *apiError) {
	var in struct {
		SecretID     *string `json:"SecretId"`
		VersionStage *string
		From         *string `json:"RemoveFromVersionId"`
		To           *string `json:"MoveToVersionId"`
	}
	if err := decodeInput(c.Body, &in); err != nil {
		return nil, err
	}
	c.Object = deref(in.SecretID)
	var limits constraints
	limits.needText("secretId", in.SecretID, maxSecretIDLength)
	limits.needText("versionStage", in.VersionStage, maxStageLength)
	limits.text("removeFromVersionId", in.From, minVersionIDLength, maxVersionIDLength)
	limits.text("moveToVersionId", in.To, minVersionIDLength, maxVersionIDLength)
	if err := s.begin(c, "UpdateSecretVersionStage", in.SecretID, &limits); err != nil {
		return nil, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.lookup(c, *in.SecretID, false)
	if err != nil {
		return nil, err
	}
	if err := sec.restage(*in.VersionStage, deref(in.From), deref(in.To)); err != nil {
		return nil, err
	}
	sec.changed = c.Now
	return secretRef{s.arn(sec), sec.name}, nil
}

// secretRef is a response that only identifies the secret.
type secretRef struct{ ARN, Name string }

// restage is UpdateSecretVersionStage for the versions. If a version has the
// label, the label moves only if the request names that version. AWSCURRENT can
// only move. An empty id means "not given".
func (sec *secret) restage(stage, fromID, toID string) *apiError {
	for _, id := range []string{fromID, toID} {
		if id != "" && sec.version(id) == nil {
			return secretValueNotFound("VersionId", id)
		}
	}
	holder, to := sec.staged(stage), sec.version(toID)
	switch {
	case fromID == "" && to == nil:
		return clientError("InvalidParameterException",
			"You must provide RemoveFromVersionId, MoveToVersionId, or both.")
	case fromID == "" && holder != nil && holder != to:
		return clientError("InvalidParameterException", "The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, "+
			"so you must explicitly reference that version in RemoveFromVersionId.", stage, holder.id)
	case fromID != "" && (holder == nil || holder.id != fromID):
		return clientError("InvalidParameterException", "Staging label %s is not currently attached to version %s.", stage, fromID)
	case to == nil && stage == stageCurrent:
		return clientError("InvalidParameterException",
			"You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.")
	case to == nil:
		delete(holder.stages, stage)
	default:
		sec.move(stage, to)
	}
	sec.dropDeprecated()
	return nil
}

func (s *secretStore) deleteSecret(c *call) (any, *apiError) {
	var in struct {
		SecretID                   *string `json:"SecretId"`
		RecoveryWindowInDays       *int64
		ForceDeleteWithoutRecovery *bool
	}
	if err := decodeInput(c.Body, &in); err != nil {
		return nil, err
	}
	c.Object = deref(in.SecretID)
	var limits constraints
	limits.needText("secretId", in.SecretID, maxSecretIDLength)
	if err := s.begin(c, "DeleteSecret", in.SecretID, &limits); err != nil {
		return nil, err
	}
	force, days := deref(in.ForceDeleteWithoutRecovery), cmp.Or(deref(in.RecoveryWindowInDays), defaultRecoveryDays)
	switch {
	case force && in.RecoveryWindowInDays != nil:
		return nil, clientError("InvalidParameterException",
			"You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	case in.RecoveryWindowInDays != nil && (*in.RecoveryWindowInDays < minRecoveryDays || days > maxRecoveryDays):
		return nil, clientError("InvalidParameterException", "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
	}

	type output struct {
		ARN, Name    string
		DeletionDate float64
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sec := s.find(c.Region, *in.SecretID, c.Now)
	if force {
		if sec == nil { // forced deletion does not report whether the secret existed
			name, arn := *in.SecretID, *in.SecretID
			if !strings.HasPrefix(name, "arn:") {
				arn = s.arnOf(c.Region, name+"-"+newSuffix())
			}
			return output{arn, name, epoch(c.Now)}, nil
		}
		delete(s.regions[c.Region], sec.name)
		return output{s.arn(sec), sec.name, epoch(c.Now)}, nil
	}
	sec, err := s.lookup(c, *in.SecretID, false)
	if err != nil {
		return nil, err
	}
	sec.purgeAt = c.Now.Add(time.Duration(days) * 24 * time.Hour)
	return output{s.arn(sec), sec.name, epoch(sec.purgeAt)}, nil
}

func (s *secretStore) restoreSecret(c *call) (any, *apiError) {
	id, err := s.beginByID(c, "RestoreSecret")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.lookup(c, id, true)
	if err != nil {
		return nil, err
	}
	sec.purgeAt = time.Time{}
	return secretRef{s.arn(sec), sec.name}, nil
}
