// The state of secrets: versions, staging labels, ARNs, and lookup by id.
//
// Sources: AWS Secrets Manager User Guide "What's in a Secrets Manager secret?"
// (versions, the labels AWSCURRENT, AWSPREVIOUS and AWSPENDING, deprecated
// versions, the six characters of the ARN) and "Finding a secret from a partial
// ARN"; API reference of PutSecretValue and UpdateSecretVersionStage (labels that
// the service moves).

package awssim

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	stageCurrent  = "AWSCURRENT"
	stagePrevious = "AWSPREVIOUS"
	stagePending  = "AWSPENDING"

	// deprecatedKept is the number of versions without a label that the service keeps.
	deprecatedKept = 100
	suffixLength   = 6
)

// arnSuffix matches the end of a complete secret ARN. A partial ARN must not end
// like this.
var arnSuffix = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// secret is one secret of one region. The store's mutex guards it.
type secret struct {
	region, name, suffix, description string
	owningService, primaryRegion      string // "" = none
	tags                              []secretTag
	keyID, keyARN                     string // KMS key as given; ARN = customer managed
	created, changed, accessed        time.Time
	purgeAt                           time.Time        // end of the recovery window; zero = not deleted
	versions                          []*secretVersion // oldest first
}

// secretVersion is one immutable value and its labels.
type secretVersion struct {
	id      string
	value   secretValue
	created time.Time
	stages  map[string]bool
}

// secretValue is text or binary, never both. The zero value means no value.
type secretValue struct {
	text   *string
	binary []byte
}

func (v secretValue) equal(o secretValue) bool {
	return deref(v.text) == deref(o.text) && (v.text == nil) == (o.text == nil) && bytes.Equal(v.binary, o.binary)
}

func (v secretValue) given() bool { return v.text != nil || v.binary != nil }

// stageNames returns the labels sorted, as in the service's responses.
func (v *secretVersion) stageNames() []string { return slices.Sorted(maps.Keys(v.stages)) }

func (s *secretStore) arn(sec *secret) string {
	return s.arnOf(sec.region, sec.name+"-"+sec.suffix)
}

func (s *secretStore) arnOf(region, resource string) string {
	return fmt.Sprintf("arn:%s:secretsmanager:%s:%s:secret:%s", regionPartition(region), region, s.account, resource)
}

// find returns the secret with this id in a region, or nil. The id is a name, a
// complete ARN, or an ARN without the suffix. An ARN that ends in a hyphen and six
// characters always counts as complete. find ignores a secret after its recovery
// window.
func (s *secretStore) find(region, id string, now time.Time) *secret {
	sec := s.regions[region][id]
	if strings.HasPrefix(id, "arn:") {
		resource, ok := strings.CutPrefix(id, s.arnOf(region, ""))
		if !ok {
			return nil
		}
		if arnSuffix.MatchString(resource) {
			cut := len(resource) - suffixLength
			sec = s.regions[region][resource[:cut-1]]
			if sec == nil || sec.suffix != resource[cut:] {
				return nil
			}
		} else {
			sec = s.regions[region][resource]
		}
	}
	if sec != nil && !sec.purgeAt.IsZero() && !now.Before(sec.purgeAt) {
		delete(s.regions[region], sec.name)
		return nil
	}
	return sec
}

// lookup is find with the API's errors. deletedToo allows a secret that is
// scheduled for deletion.
func (s *secretStore) lookup(c *call, id string, deletedToo bool) (*secret, *apiError) {
	sec := s.find(c.Region, id, c.Now)
	switch {
	case sec == nil:
		return nil, secretNotFound()
	case !sec.purgeAt.IsZero() && !deletedToo:
		return nil, clientError("InvalidRequestException",
			"You can't perform this operation on the secret because it was marked for deletion.")
	}
	return sec, nil
}

func (s *secretStore) add(sec *secret) {
	if s.regions[sec.region] == nil {
		s.regions[sec.region] = map[string]*secret{}
	}
	s.regions[sec.region][sec.name] = sec
}

// version returns the version with this id, or nil.
func (sec *secret) version(id string) *secretVersion {
	return sec.versionWhere(func(v *secretVersion) bool { return v.id == id })
}

// staged returns the version with this label, or nil.
func (sec *secret) staged(stage string) *secretVersion {
	return sec.versionWhere(func(v *secretVersion) bool { return v.stages[stage] })
}

func (sec *secret) versionWhere(is func(*secretVersion) bool) *secretVersion {
	if i := slices.IndexFunc(sec.versions, is); i >= 0 {
		return sec.versions[i]
	}
	return nil
}

// addVersion appends a version and moves the labels to it. The first version of
// a secret always becomes AWSCURRENT.
func (sec *secret) addVersion(id string, value secretValue, stages []string, now time.Time) *secretVersion {
	version := &secretVersion{id: id, value: value, created: now, stages: map[string]bool{}}
	first := len(sec.versions) == 0
	sec.versions = append(sec.versions, version)
	current := sec.staged(stageCurrent)
	for _, stage := range stages {
		sec.move(stage, version)
	}
	if first {
		sec.move(stageCurrent, version)
	}
	if current != nil && version.stages[stageCurrent] {
		// Recorded from the service (LocalStack's snapshot "stages_current_pending",
		// 2022-09-28): if a rotation ends with a plain PutSecretValue, the version
		// that was current loses AWSPENDING.
		delete(current.stages, stagePending)
	}
	sec.dropDeprecated()
	sec.changed = now
	return version
}

// move moves a label to a version. If the label is AWSCURRENT, the version that
// had it becomes AWSPREVIOUS.
func (sec *secret) move(stage string, to *secretVersion) {
	from := sec.staged(stage)
	if from == to {
		return
	}
	if from != nil {
		delete(from.stages, stage)
	}
	to.stages[stage] = true
	if stage == stageCurrent {
		delete(to.stages, stagePrevious)
		if from != nil {
			sec.move(stagePrevious, from)
		}
	}
}

// dropDeprecated deletes the oldest versions without a label, so that a hundred
// of them remain.
func (sec *secret) dropDeprecated() {
	deprecated := 0
	for _, v := range sec.versions {
		if len(v.stages) == 0 {
			deprecated++
		}
	}
	sec.versions = slices.DeleteFunc(sec.versions, func(v *secretVersion) bool {
		drop := len(v.stages) == 0 && deprecated > deprecatedKept
		if drop {
			deprecated--
		}
		return drop
	})
}

// newSuffix returns six random characters for the end of a secret's ARN.
func newSuffix() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	suffix := randomBytes(suffixLength)
	for i, b := range suffix {
		suffix[i] = letters[int(b)%len(letters)]
	}
	return string(suffix)
}

// newVersionID returns a random UUID.
func newVersionID() string { return newUUID(randomBytes(16)) }
