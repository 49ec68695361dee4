package fault_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/aws/smithy-go"

	"secrets-provider-aws/internal/fault"
)

// FuzzFromAWS holds that whatever AWS, or who answers in its place, calls an error becomes one line of visible text
// without a token in it, with its cause and without.
func FuzzFromAWS(f *testing.F) {
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"
	f.Add("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	f.Add("AccessDeniedException", "User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: secretsmanager:GetSecretValue")
	f.Add("InvalidIdentityToken", "the token "+jwt+" is no token of ours")
	f.Add("UnknownError", "UnknownError")
	f.Add("", "")
	f.Add("ValidationException", "label \x00\x1b[31m\u202e\r\n\u2028 "+jwt+"\xff")
	f.Add("\n", strings.Repeat("x ", 5000))
	f.Fuzz(func(t *testing.T, code, message string) {
		err := fault.FromAWS(&smithy.GenericAPIError{Code: code, Message: message}, "cannot read", "eu-west-1")
		for _, text := range []string{err.Error(), fault.Detached(err).Error()} {
			if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) {
				t.Errorf("not one line of visible text: %q", text)
			}
			if strings.Contains(message, jwt) && strings.Contains(text, jwt) {
				t.Errorf("the message shows a token: %q", text)
			}
			if !strings.HasPrefix(text, "cannot read in eu-west-1") {
				t.Errorf("the message lost what failed: %q", text)
			}
		}
	})
}
