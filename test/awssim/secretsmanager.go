// AWS Secrets Manager: the store, the dispatch, and the read operations.
//
// Sources: AWS Secrets Manager API reference (GetSecretValue, DescribeSecret) for
// members, limits and errors; User Guide "Secrets Manager quotas" (65,536 bytes,
// names of 512 characters); Service Authorization Reference "Actions, resources,
// and condition keys" (the permission and resource of each operation). Error
// texts that the reference lacks are recorded from the live service.

package awssim

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	maxSecretBytes     = 65536
	maxSecretIDLength  = 2048
	minVersionIDLength = 32
	maxVersionIDLength = 64
	maxStageLength     = 256
	maxStages          = 20
	maxSecretBatch     = 20
)

// secretName matches valid names. Only secrets that another AWS service manages
// ("rds!db-…") contain '!'. They can be read and seeded, but not created.
var secretName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]{1,512}$`)

// secretStore is Secrets Manager of one account in all regions.
type secretStore struct {
	account   string
	now       func() time.Time
	tokens    pageTokens
	scanLimit int // see Config.ScanLimit

	mu      sync.Mutex
	regions map[string]map[string]*secret // region → name → secret
}

// newSecretStore creates a store with the given secrets. It reports all faults of
// all secrets.
func newSecretStore(account string, secrets []Secret, now func() time.Time) (*secretStore, error) {
	s := &secretStore{account: account, now: now, tokens: newPageTokens(), regions: map[string]map[string]*secret{}}
	var faults []error
	for _, seed := range secrets {
		if err := s.seed(seed); err != nil {
			faults = append(faults, fmt.Errorf("secret %q in region %q: %w", seed.Name, seed.Region, err))
		}
	}
	return s, errors.Join(faults...)
}

// put lets tests create a secret or add a version, which becomes AWSCURRENT. It
// skips permissions and limits. It restores a secret that is scheduled for
// deletion.
func (s *secretStore) put(region, name, value string) (versionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	sec := s.find(region, name, now)
	if sec == nil {
		sec = &secret{region: region, name: name, suffix: newSuffix(), created: now}
		s.add(sec)
	}
	sec.purgeAt = time.Time{}
	return sec.addVersion(newVersionID(), secretValue{text: &value}, []string{stageCurrent}, now).id
}

// tag lets tests replace the tags of a secret.
func (s *secretStore) tag(region, name string, tags map[string]string) error {
	list := tagList(tags)
	if err := checkTags(list); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sec := s.find(region, name, s.now())
	if sec == nil {
		return errors.New("there is no such secret")
	}
	sec.tags = list
	return nil
}

// remove lets tests delete a secret at once. It reports whether it existed.
func (s *secretStore) remove(region, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.find(region, name, s.now()) != nil
	delete(s.regions[region], name)
	return found
}

// handle runs one operation.
func (s *secretStore) handle(op string, c *call) (any, *apiError) {
	switch op {
	case "GetSecretValue":
		return s.getSecretValue(c)
	case "BatchGetSecretValue":
		return s.batchGetSecretValue(c)
	case "ListSecrets":
		return s.listSecrets(c)
	case "DescribeSecret":
		return s.describeSecret(c)
	case "CreateSecret":
		return s.createSecret(c)
	case "PutSecretValue":
		return s.putSecretValue(c)
	case "UpdateSecretVersionStage":
		return s.updateSecretVersionStage(c)
	case "DeleteSecret":
		return s.deleteSecret(c)
	case "RestoreSecret":
		return s.restoreSecret(c)
	}
	return nil, unknownOperation()
}

func secretNotFound() *apiError {
	return clientError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

func secretValueNotFound(what, which string) *apiError {
	return clientError("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for %s: %s", what, which)
}

func invalidSecretName() *apiError {
	return clientError("ValidationException",
		"Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
}

// checkSecretID refuses an id that is neither a name nor an ARN.
func checkSecretID(id string) *apiError {
	if !strings.HasPrefix(id, "arn:") && !secretName.MatchString(id) {
		return invalidSecretName()
	}
	return nil
}

// authorize checks the caller's policies for action on the secret with this id. A
// missing secret has no ARN, so its name takes the ARN's place. A caller that may
// not read it then does not learn that it is missing. The error contains the id
// as requested.
func (s *secretStore) authorize(c *call, action, id string) *apiError {
	s.mu.Lock()
	sec := s.find(c.Region, id, c.Now)
	var tags []secretTag
	if sec != nil {
		tags = sec.tags
	}
	s.mu.Unlock()
	if sec != nil {
		return c.Allowed("secretsmanager:"+action, s.arn(sec), tags...)
	}
	resource := id
	if !strings.HasPrefix(id, "arn:") {
		resource = s.arnOf(c.Region, id)
	}
	denied := c.Allowed("secretsmanager:"+action, resource)
	if denied == nil {
		return nil
	}
	masked := *denied
	masked.Message = strings.ReplaceAll(masked.Message, resource, id)
	return &masked
}

// begin starts every operation on one secret: constraints, form of the id,
// permission.
func (s *secretStore) begin(c *call, action string, id *string, limits *constraints) *apiError {
	if err := limits.err(); err != nil {
		return err
	}
	if err := checkSecretID(*id); err != nil {
		return err
	}
	return s.authorize(c, action, *id)
}

// secretOutput is the output of GetSecretValue, and one entry of
// BatchGetSecretValue.
type secretOutput struct {
	ARN           string
	Name          string
	VersionID     string  `json:"VersionId"`
	SecretString  *string `json:",omitempty"`
	SecretBinary  []byte  `json:",omitempty"`
	VersionStages []string
	CreatedDate   float64
}

func (s *secretStore) getSecretValue(c *call) (any, *apiError) {
	var in struct {
		SecretID     *string `json:"SecretId"`
		VersionID    *string `json:"VersionId"`
		VersionStage *string
	}
	if err := decodeInput(c.Body, &in); err != nil {
		return nil, err
	}
	c.Object = deref(in.SecretID)
	var limits constraints
	limits.needText("secretId", in.SecretID, maxSecretIDLength)
	limits.text("versionId", in.VersionID, minVersionIDLength, maxVersionIDLength)
	limits.text("versionStage", in.VersionStage, 1, maxStageLength)
	if err := s.begin(c, "GetSecretValue", in.SecretID, &limits); err != nil {
		return nil, err
	}
	return s.value(c, *in.SecretID, in.VersionID, in.VersionStage)
}

// value returns one version: by id, by label, by id and label, or AWSCURRENT.
// With both, the version must have the label.
func (s *secretStore) value(c *call, id string, versionID, stage *string) (any, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.lookup(c, id, false)
	if err != nil {
		return nil, err
	}
	label := stageCurrent
	if stage != nil {
		label = *stage
	}
	version := sec.staged(label)
	if versionID != nil {
		version = sec.version(*versionID)
		switch {
		case version == nil:
			return nil, secretValueNotFound("VersionId", *versionID)
		case stage != nil && !version.stages[label]:
			return nil, clientError("InvalidRequestException",
				"You provided a VersionStage that is not associated to the provided VersionId.")
		}
	}
	if version == nil {
		return nil, secretValueNotFound("staging label", label)
	}
	if denied := mayDecrypt(c, sec.keyARN); denied != nil {
		return nil, clientError("AccessDeniedException", "Access to KMS is not allowed")
	}
	sec.accessed = c.Now.UTC().Truncate(24 * time.Hour) // the service keeps only the day
	return secretOutput{
		ARN: s.arn(sec), Name: sec.name, VersionID: version.id,
		SecretString: version.value.text, SecretBinary: version.value.binary,
		VersionStages: version.stageNames(), CreatedDate: epoch(version.created),
	}, nil
}

func (s *secretStore) describeSecret(c *call) (any, *apiError) {
	id, err := s.beginByID(c, "DescribeSecret")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.lookup(c, id, true)
	if err != nil {
		return nil, err
	}
	return s.describe(sec), nil
}

// beginByID is begin for an operation with SecretId as its only member.
func (s *secretStore) beginByID(c *call, action string) (string, *apiError) {
	var in struct {
		SecretID *string `json:"SecretId"`
	}
	if err := decodeInput(c.Body, &in); err != nil {
		return "", err
	}
	c.Object = deref(in.SecretID)
	var limits constraints
	limits.needText("secretId", in.SecretID, maxSecretIDLength)
	return c.Object, s.begin(c, action, in.SecretID, &limits)
}

// secretDescription is the output of DescribeSecret, and one entry of ListSecrets.
type secretDescription struct {
	ARN              string
	Name             string
	Description      string              `json:",omitempty"`
	KmsKeyID         string              `json:"KmsKeyId,omitempty"`
	OwningService    string              `json:",omitempty"`
	PrimaryRegion    string              `json:",omitempty"`
	CreatedDate      float64             `json:",omitempty"`
	LastChangedDate  float64             `json:",omitempty"`
	LastAccessedDate float64             `json:",omitempty"`
	DeletedDate      float64             `json:",omitempty"`
	Tags             []secretTag         `json:",omitempty"`
	Stages           map[string][]string `json:"VersionIdsToStages,omitempty"`
	ListedStages     map[string][]string `json:"SecretVersionsToStages,omitempty"` // instead, in ListSecrets
}

// describe returns the attributes of a secret, with the lock held.
func (s *secretStore) describe(sec *secret) secretDescription {
	stages := map[string][]string{}
	for _, v := range sec.versions {
		if len(v.stages) > 0 { // deprecated versions are not listed
			stages[v.id] = v.stageNames()
		}
	}
	return secretDescription{
		ARN: s.arn(sec), Name: sec.name, Description: sec.description, KmsKeyID: sec.keyID,
		OwningService: sec.owningService, PrimaryRegion: sec.primaryRegion,
		CreatedDate: optionalEpoch(sec.created), LastChangedDate: optionalEpoch(sec.changed),
		LastAccessedDate: optionalEpoch(sec.accessed), DeletedDate: optionalEpoch(sec.purgeAt),
		Tags: sec.tags, Stages: stages,
	}
}

// optionalEpoch returns 0 for a zero time, so that JSON omits it.
func optionalEpoch(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return epoch(t)
}
