// The secrets themselves: versions, staging labels, ARNs and how an id is found.
//
// Sources: AWS Secrets Manager User Guide "What's in a Secrets Manager secret?"
// (versions, the labels AWSCURRENT, AWSPREVIOUS and AWSPENDING, deprecated
// versions, the six characters of the ARN) and "Finding a secret from a partial
// ARN"; API reference of PutSecretValue and UpdateSecretVersionStage (which
// labels move by themselves).

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

	// deprecatedKept is how many versions without a label the service keeps.
	deprecatedKept = 100
	suffixLength   = 6
)

// arnSuffix is how a complete secret ARN ends, and therefore how a partial one
// must not end.
var arnSuffix = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// secret is one secret of one region. It is guarded by the store's mutex.
type secret struct {
	region, name, suffix, description string
	created, changed, accessed        time.Time
	purgeAt                           time.Time        // end of the recovery window; zero = not deleted
	versions                          []*secretVersion // oldest first
}

// secretVersion is one immutable value and the labels that stand on it.
type secretVersion struct {
	id      string
	value   secretValue
	created time.Time
	stages  map[string]bool
}

// secretValue is text or bytes, never both. The zero value is no value at all.
type secretValue struct {
	text   *string
	binary []byte
}

func (v secretValue) equal(o secretValue) bool {
	return deref(v.text) == deref(o.text) && (v.text == nil) == (o.text == nil) && bytes.Equal(v.binary, o.binary)
}

func (v secretValue) given() bool { return v.text != nil || v.binary != nil }

// stageNames is sorted, as the service answers it.
func (v *secretVersion) stageNames() []string { return slices.Sorted(maps.Keys(v.stages)) }

func (s *secretStore) arn(sec *secret) string {
	return s.arnOf(sec.region, sec.name+"-"+sec.suffix)
}

func (s *secretStore) arnOf(region, resource string) string {
	return fmt.Sprintf("arn:%s:secretsmanager:%s:%s:secret:%s", regionPartition(region), region, s.account, resource)
}

// find gives the secret that id names in a region, nil when there is none: by
// name, by complete ARN, or by an ARN without the suffix. An ARN that ends in a
// hyphen and six characters is always taken as complete. A secret whose recovery
// window is over is gone.
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

// lookup is find with the errors of the API. deletedToo says whether the
// operation works on a secret that is scheduled for deletion.
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

// version gives a version by its id, nil when there is none.
func (sec *secret) version(id string) *secretVersion {
	return sec.versionWhere(func(v *secretVersion) bool { return v.id == id })
}

// staged gives the version a label stands on, nil when it stands on none.
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
// a secret is AWSCURRENT whatever was asked.
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
		// 2022-09-28): a rotation that ends by a plain PutSecretValue leaves no
		// AWSPENDING on the version that was current.
		delete(current.stages, stagePending)
	}
	sec.dropDeprecated()
	sec.changed = now
	return version
}

// move puts a label on a version and takes it from the one that had it. When that
// is AWSCURRENT, the version it leaves becomes AWSPREVIOUS.
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

// dropDeprecated forgets the oldest versions without a label beyond the hundred
// the service keeps.
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

// newSuffix makes the six characters that end a secret's ARN.
func newSuffix() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	suffix := randomBytes(suffixLength)
	for i, b := range suffix {
		suffix[i] = letters[int(b)%len(letters)]
	}
	return string(suffix)
}

// newVersionID makes a version id, a random UUID.
func newVersionID() string { return newUUID(randomBytes(16)) }
