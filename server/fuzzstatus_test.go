package server

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"secrets-provider-aws/internal/fault"
)

// FuzzStatus holds that every error leaves with a final code and a message that a header can carry: those of ours,
// whatever their kind, and those of anybody else, a status among them.
func FuzzStatus(f *testing.F) {
	f.Add(0, "cannot read", "no", "try again", "payments/class", 14)
	f.Add(7, "", "", "", "", 1)
	f.Add(-1, "\xff\n", strings.Repeat("é", 5000), "\x00", "a", 4)
	f.Add(100, strings.Repeat("x", 4093)+"é", "", "", "", 10)
	f.Fuzz(func(t *testing.T, kind int, what, why, hint, class string, code int) {
		for _, err := range []error{
			&fault.Error{Kind: fault.Kind(kind), What: "cannot " + what, Why: why, Hint: hint},
			status.Error(max(codes.Code(uint32(code)), codes.Canceled), "not "+what), // any code but OK, which is no error
			errors.New("no " + why),
		} {
			got := toStatus(err, class)
			if err != nil && status.Code(got) == codes.OK {
				t.Fatalf("%v became a success", err)
			}
			wantFinal(t, got)
			if text := status.Convert(got).Message(); len(text) > maxMessage || !utf8.ValidString(text) {
				t.Errorf("a message of %d bytes, valid %t: %.200q", len(text), utf8.ValidString(text), text)
			}
		}
	})
}
