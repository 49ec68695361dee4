package awssim

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"sync"
	"time"
)

// principal is who makes a request: a role session or a user.
type principal struct {
	arn     string // session ARN or user ARN
	userID  string // "AROA…:session" or "AIDA…"
	account string
	// roleARN is the role of a session; "" for a user. The session's policies
	// are the role's, looked up at each request.
	roleARN  string
	policies []*policy         // a user's
	tags     map[string]string // of the role or user and of the session
	// transitive are the session's tags that go along into every session it opens.
	transitive map[string]string
}

// credential is an access key, static or of a session.
type credential struct {
	accessKeyID, secret string
	token               string    // "" for a static key
	expires             time.Time // zero = never
	who                 principal
}

// credentialTable holds every access key that was ever given out: an expired one
// is answered otherwise than one that never was.
type credentialTable struct {
	mu   sync.RWMutex
	keys map[string]*credential
}

func newCredentialTable() *credentialTable {
	return &credentialTable{keys: map[string]*credential{}}
}

// addStatic registers a user's key; false = the key id is taken.
func (t *credentialTable) addStatic(accessKeyID, secret string, who principal) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, taken := t.keys[accessKeyID]; taken {
		return false
	}
	t.keys[accessKeyID] = &credential{accessKeyID: accessKeyID, secret: secret, who: who}
	return true
}

// issue makes temporary credentials. "ASIA" marks them: IAM User Guide,
// "Unique identifiers".
func (t *credentialTable) issue(who principal, expires time.Time) *credential {
	c := &credential{
		accessKeyID: "ASIA" + base32.StdEncoding.EncodeToString(randomBytes(10)),
		secret:      base64.StdEncoding.EncodeToString(randomBytes(30)),
		token:       base64.StdEncoding.EncodeToString(randomBytes(480)), // real ones have 600 to 1000 characters
		expires:     expires,
		who:         who,
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys[c.accessKeyID] = c
	return c
}

func (t *credentialTable) lookup(accessKeyID string) *credential {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.keys[accessKeyID]
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: documented since Go 1.24
	return b
}
