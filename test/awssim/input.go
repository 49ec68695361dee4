// Decoding and validation of request bodies for both JSON services. Decoding
// follows the AWS JSON 1.1 protocol: member names are case-sensitive, unknown
// members are ignored, null means "not given". Validation applies the
// constraints of the API model. Rules: smithy.io "AWS JSON 1.1 protocol", and
// the length, range and enum constraints in the API reference of each operation.
// The error texts are those of the real front end (see for example
// aws/aws-sdk-kotlin issue 1469).

package awssim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// clientError returns an error with HTTP status 400. Nearly every error of the
// JSON services has it, even a missing resource.
func clientError(code, format string, args ...any) *apiError {
	message := format
	if len(args) > 0 {
		message = fmt.Sprintf(format, args...)
	}
	return &apiError{Status: http.StatusBadRequest, Code: code, Message: message}
}

// unknownOperation is the error for an operation that the service does not have.
func unknownOperation() *apiError { return clientError("UnknownOperationException", "") }

// decodeInput decodes body into a struct. The fields, or their json tags, have
// exactly the names of the API's members. A member in another case is unknown.
func decodeInput(body []byte, into any) *apiError {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return clientError("SerializationException", "")
	}
	target := reflect.ValueOf(into).Elem()
	for i := range target.NumField() {
		declared := target.Type().Field(i)
		raw, given := members[cmp.Or(declared.Tag.Get("json"), declared.Name)]
		if !given {
			continue
		}
		field := target.Field(i)
		if err := json.Unmarshal(raw, field.Addr().Interface()); err != nil {
			return clientError("SerializationException", "%s", conversionFault(raw, field.Type()))
		}
	}
	return nil
}

// conversionFault describes a JSON token that does not fit the member's type,
// with the text of the real deserializer.
func conversionFault(raw json.RawMessage, wanted reflect.Type) string {
	if wanted.Kind() == reflect.Pointer {
		wanted = wanted.Elem()
	}
	if wanted.Kind() == reflect.Slice && wanted.Elem().Kind() != reflect.Uint8 {
		return "Expected list or null"
	}
	token := "NUMBER_VALUE"
	switch raw[0] {
	case '{':
		return "Start of structure or map found where not expected."
	case '[':
		return "Start of list found where not expected"
	case '"':
		token = "STRING_VALUE"
	case 't':
		token = "TRUE_VALUE"
	case 'f':
		token = "FALSE_VALUE"
	}
	name := "String"
	switch wanted.Kind() {
	case reflect.Bool:
		name = "Boolean"
	case reflect.Int64:
		name = "Long"
	case reflect.Slice:
		name = "Blob"
	}
	return token + " can not be converted to a " + name
}

// constraints collects every violated constraint of one input, because the real
// front end reports all of them in one ValidationException. It writes member
// names in lower camel case. STS uses it for form values too.
type constraints struct{ faults []string }

// text checks the length, in characters, of a member that may be null.
func (v *constraints) text(member string, value *string, shortest, longest int) {
	if value != nil {
		v.length(member, fmt.Sprintf("'%s'", *value), utf8.RuneCountInString(*value), shortest, longest)
	}
}

// needText checks the length of a required member, at least one character.
func (v *constraints) needText(member string, value *string, longest int) {
	if value == nil {
		v.add(member, "null", "Member must not be null")
	}
	v.text(member, value, 1, longest)
}

// sensitive checks a length, in bytes, without repeating the value in the error.
func (v *constraints) sensitive(member string, size, shortest, longest int) {
	v.length(member, "", size, shortest, longest)
}

// list checks the number of elements and the length of each.
func (v *constraints) list(member string, values []string, most, longest int) {
	printed := "'[" + strings.Join(values, ", ") + "]'"
	v.length(member, printed, len(values), 1, most)
	if slices.ContainsFunc(values, func(s string) bool { n := utf8.RuneCountInString(s); return n < 1 || n > longest }) {
		v.add(member, printed, fmt.Sprintf("Member must satisfy constraint: [Member must have length less than or equal to %d, "+
			"Member must have length greater than or equal to 1]", longest))
	}
}

// number checks the range of a member that may be null.
func (v *constraints) number(member string, value *int64, least, most int64) {
	switch {
	case value == nil:
	case *value < least:
		v.add(member, fmt.Sprintf("'%d'", *value), fmt.Sprintf("Member must have value greater than or equal to %d", least))
	case *value > most:
		v.add(member, fmt.Sprintf("'%d'", *value), fmt.Sprintf("Member must have value less than or equal to %d", most))
	}
}

// oneOf checks a member that may be null against its enum.
func (v *constraints) oneOf(member string, value *string, allowed ...string) {
	if value != nil && !slices.Contains(allowed, *value) {
		v.add(member, fmt.Sprintf("'%s'", *value), "Member must satisfy enum value set: ["+strings.Join(allowed, ", ")+"]")
	}
}

func (v *constraints) length(member, printed string, size, shortest, longest int) {
	switch {
	case size < shortest:
		v.add(member, printed, fmt.Sprintf("Member must have length greater than or equal to %d", shortest))
	case size > longest:
		v.add(member, printed, fmt.Sprintf("Member must have length less than or equal to %d", longest))
	}
}

// add records one fault. printed is "" for a sensitive value.
func (v *constraints) add(member, printed, rule string) {
	if printed != "" {
		printed += " "
	}
	v.faults = append(v.faults, fmt.Sprintf("Value %sat '%s' failed to satisfy constraint: %s", printed, member, rule))
}

// err returns nil if no constraint is violated.
func (v *constraints) err() *apiError {
	switch len(v.faults) {
	case 0:
		return nil
	case 1:
		return clientError("ValidationException", "1 validation error detected: %s", v.faults[0])
	}
	return clientError("ValidationException", "%d validation errors detected: %s", len(v.faults), strings.Join(v.faults, "; "))
}

// epoch converts a time to the JSON protocols' form: seconds since 1970, with
// milliseconds.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// regionPartition returns the partition of a region, the second part of its ARNs.
func regionPartition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// deref returns an optional member's value, or zero if it is not given.
func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
