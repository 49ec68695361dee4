// Responses on the wire. Rules: smithy.io "AWS JSON 1.1 protocol" and "AWS Query
// protocol", with the XML namespaces of the STS and IAM API references.

package awssim

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strconv"
)

const stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"

// newRequestID returns a version 4 UUID.
func newRequestID() string { return newUUID(randomBytes(16)) }

// newUUID formats 16 bytes as a version 4 UUID.
func newUUID(b []byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:32]
}

// misbehave waits for the call's delay and returns the error of fault, or nil. For
// a call without a response it does not return.
func (s *Sim) misbehave(ctx context.Context, service string, fault *Fault) *apiError {
	wait := s.delay
	if fault != nil {
		wait += fault.Latency
	}
	if !s.pause(ctx, wait) {
		panic(http.ErrAbortHandler)
	}
	if fault == nil {
		return nil
	}
	if fault.Hang {
		select {
		case <-ctx.Done():
		case <-s.stopping.Done():
		}
	}
	if fault.Hang || fault.Cut {
		panic(http.ErrAbortHandler) // net/http then closes the connection without a response
	}
	return fault.asError(service)
}

func (r *awsRequest) write(w http.ResponseWriter, status int, content string, body []byte) {
	w.Header().Set("X-Amzn-Requestid", r.id)
	w.Header().Set("Content-Type", content)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // ignore clients that left
}

func (r *awsRequest) writeJSONResponse(w http.ResponseWriter, content any) {
	body, err := json.Marshal(content)
	if err != nil {
		panic(err) // a bug of the simulator: all responses are plain structs
	}
	r.write(w, http.StatusOK, jsonContent, body)
}

func (r *awsRequest) writeJSONError(w http.ResponseWriter, e *apiError) {
	body, err := json.Marshal(struct {
		Type    string `json:"__type"`
		Message string `json:"Message,omitempty"`
	}{e.Code, e.Message})
	if err != nil {
		panic(err)
	}
	r.write(w, e.Status, jsonContent, body)
}

// queryResponse is the envelope of a response of the query protocol.
type queryResponse struct {
	XMLName   xml.Name
	Result    any
	RequestID string `xml:"ResponseMetadata>RequestId"`
}

// queryError is the envelope of an error of the query protocol.
type queryError struct {
	XMLName   xml.Name
	Type      string `xml:"Error>Type"`
	Code      string `xml:"Error>Code"`
	Message   string `xml:"Error>Message"`
	RequestID string `xml:"RequestId"`
}

func (r *awsRequest) writeQueryResponse(w http.ResponseWriter, result any) {
	r.writeXML(w, http.StatusOK, queryResponse{
		XMLName:   xml.Name{Space: r.namespace(), Local: r.operation + "Response"},
		Result:    result,
		RequestID: r.id,
	})
}

func (r *awsRequest) writeQueryError(w http.ResponseWriter, e *apiError) {
	blame := "Sender"
	if e.Status >= 500 {
		blame = "Receiver"
	}
	r.writeXML(w, e.Status, queryError{XMLName: xml.Name{Space: r.namespace(), Local: "ErrorResponse"}, Type: blame, Code: e.Code, Message: e.Message, RequestID: r.id})
}

// namespace is the XML namespace of a service with the query protocol.
func (r *awsRequest) namespace() string {
	if r.service == serviceIAM {
		return iamNamespace
	}
	return stsNamespace
}

func (r *awsRequest) writeXML(w http.ResponseWriter, status int, content any) {
	body, err := xml.MarshalIndent(content, "", "  ")
	if err != nil {
		panic(err)
	}
	r.write(w, status, "text/xml", append(body, '\n'))
}
