// Pagination tokens.
//
// Sources: the NextToken members of GetParametersByPath, ListSecrets and
// BatchGetSecretValue in the API references. AWS publishes neither the content
// nor the life of a token. Here a token is opaque, works only for the request
// that got it, and expires after a day, so that a client that builds, stores or
// reuses tokens fails in tests.

package awssim

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

const pageTokenLife = 24 * time.Hour

// pageTokens makes the tokens of one store. Other stores cannot open them.
type pageTokens struct{ aead cipher.AEAD }

// pageToken is the encrypted content of a token.
type pageToken struct {
	Key  int64  // sort key of the last object that the page examined
	Name string // its name
	Made time.Time
}

func newPageTokens() pageTokens {
	block, err := aes.NewCipher(randomBytes(32))
	if err != nil {
		panic(err) // 32 bytes are a valid key
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has the block size of GCM
	}
	return pageTokens{aead}
}

// pageRequest identifies the request that a token belongs to: caller's account,
// Region, operation, and all members except NextToken and MaxResults.
func pageRequest(c *call, operation string, members ...any) []byte {
	text, err := json.Marshal(append([]any{c.Account, c.Region, operation}, members...))
	if err != nil {
		panic(err) // members are decoded JSON
	}
	return text
}

// seal returns the token for the page after the object with this sort key and
// name.
func (t pageTokens) seal(request []byte, key int64, name string, now time.Time) string {
	text, err := json.Marshal(pageToken{key, name, now})
	if err != nil {
		panic(err) // strings and a time always marshal
	}
	return base64.StdEncoding.EncodeToString(t.aead.Seal(nil, nil, text, request))
}

// open returns a token's content, or the zero value for a request without one.
func (t pageTokens) open(request []byte, token *string, now time.Time) (pageToken, error) {
	var out pageToken
	if token == nil {
		return out, nil
	}
	sealed, err := base64.StdEncoding.DecodeString(*token)
	if err != nil {
		return out, fmt.Errorf("page token: %w", err)
	}
	text, err := t.aead.Open(nil, nil, sealed, request)
	if err != nil {
		return out, fmt.Errorf("page token: %w", err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		return out, fmt.Errorf("page token: %w", err)
	}
	if now.Sub(out.Made) >= pageTokenLife {
		return out, fmt.Errorf("page token: made at %s, has expired", out.Made)
	}
	return out, nil
}
