package document

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// Encoding is the encoding of a value in AWS, as written in `objectEncoding`. The empty Encoding is none.
type Encoding string

// The encodings.
const (
	Base64 Encoding = "base64" // RFC 4648, standard or URL alphabet, with or without padding
	Hex    Encoding = "hex"    // digits in either case
)

// Encodings lists every Encoding.
func Encodings() []Encoding { return []Encoding{Base64, Hex} }

// Decode decodes a text. It ignores white space. The result is never longer than the text. The error shows no text.
// Without an encoding the result is the text itself.
func (e Encoding) Decode(encoded []byte) ([]byte, error) {
	if e == "" {
		return encoded, nil
	}
	compact := make([]byte, 0, len(encoded))
	for _, c := range encoded {
		switch c {
		case ' ', '\t', '\n', '\r', '\f', '\v':
		default:
			compact = append(compact, c)
		}
	}
	var n int
	var err error
	if e == Hex {
		n, err = hex.Decode(compact, compact)
	} else {
		n, err = decodeBase64(compact)
	}
	if err != nil {
		return nil, &Error{Reason: "is not " + string(e)}
	}
	return compact[:n], nil
}

// decodeBase64 decodes in place. A text uses one of the two alphabets, and its padding is complete or absent.
func decodeBase64(encoded []byte) (int, error) {
	encoding := base64.StdEncoding
	if strings.ContainsAny(string(encoded), "-_") {
		encoding = base64.URLEncoding
	}
	if len(encoded) == 0 || encoded[len(encoded)-1] != '=' {
		encoding = encoding.WithPadding(base64.NoPadding)
	}
	return encoding.Decode(encoded, encoded)
}
