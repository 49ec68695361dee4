package awssim

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"sync"
	"time"
)

// principal is the caller of a request: a role session or a user.
type principal struct {
	arn     string // session ARN or user ARN
	userID  string // "AROA…:session" or "AIDA…"
	account string
	// roleARN is the role of a session; "" for a user. Each request looks up the
	// role's current policies.
	roleARN  string
	policies []*policy         // a user's
	tags     map[string]string // of the role or user and of the session
	// transitive are the session tags that every chained session inherits.
	transitive map[string]string
}

// credential is the access key of a user or a session.
type credential struct {
	accessKeyID, secret string
	token               string    // "" for a static key
	expires             time.Time // zero = never
	who                 principal
}

// credentialTable keeps every access key ever issued, because an expired key and
// an unknown key give different errors.
type credentialTable struct {
	mu   sync.RWMutex
	keys map[string]*credential
}

func newCredentialTable() *credentialTable {
	return &credentialTable{keys: map[string]*credential{}}
}

// addStatic registers a user's key. It returns false if the key id exists.
func (t *credentialTable) addStatic(accessKeyID, secret string, who principal) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, taken := t.keys[accessKeyID]; taken {
		return false
	}
	t.keys[accessKeyID] = &credential{accessKeyID: accessKeyID, secret: secret, who: who}
	return true
}

// issue creates temporary credentials. Their prefix is "ASIA": IAM User Guide,
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
