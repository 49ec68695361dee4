package main

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// identity is the ServiceAccount that the mounts claim to come from, and its token.
type identity struct {
	namespace, serviceAccount string
	podUID                    string // in the token; empty if it names no pod
	token                     string
	stsURL                    string // of the stand-in for STS; empty: STS itself
	server                    *http.Server
}

// newIdentity reads the token, or makes one for the stand-in for STS.
func newIdentity(ctx context.Context, o options, a *account) (*identity, error) {
	if o.tokenFile == "" {
		return standIn(ctx, o, a)
	}
	text, err := os.ReadFile(o.tokenFile)
	if err != nil {
		return nil, fmt.Errorf("read --token-file: %w", err)
	}
	i := &identity{token: strings.TrimSpace(string(text))}
	parts := strings.Split(i.token, ".")
	var claims struct {
		Sub        string
		Kubernetes struct{ Pod struct{ UID string } } `json:"kubernetes.io"`
	}
	if len(parts) != 3 {
		return nil, errors.New("--token-file contains no token of a ServiceAccount")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return nil, errors.New("--token-file contains no token of a ServiceAccount")
	}
	subject := strings.Split(claims.Sub, ":")
	if len(subject) != 4 || subject[0] != "system" || subject[1] != "serviceaccount" {
		return nil, errors.New("the token in --token-file is not of a ServiceAccount")
	}
	i.namespace, i.serviceAccount, i.podUID = subject[2], subject[3], claims.Kubernetes.Pod.UID
	return i, nil
}

// standIn serves AssumeRoleWithWebIdentity for the provider on the loopback interface, and assumes the role with the
// user's credentials. It serves only who has the token, which nobody can guess.
func standIn(ctx context.Context, o options, a *account) (*identity, error) {
	claims, err := json.Marshal(map[string]any{
		"iss": "https://smoke.invalid", "sub": "system:serviceaccount:smoke:smoke", "aud": []string{"sts.amazonaws.com"},
		"exp": time.Now().Add(time.Hour).Unix(), "jti": random() + random(),
	})
	if err != nil {
		return nil, err
	}
	encode := base64.RawURLEncoding.EncodeToString
	i := &identity{namespace: "smoke", serviceAccount: "smoke", token: encode([]byte(`{"alg":"none"}`)) + "." + encode(claims) + "." + encode([]byte("none"))}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the provider: %w", err)
	}
	i.stsURL = "http://" + listener.Addr().String()
	i.server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := r.PostFormValue("WebIdentityToken")
		if r.PostFormValue("RoleArn") != o.role || subtle.ConstantTimeCompare([]byte(given), []byte(i.token)) != 1 {
			http.Error(w, "not for you", http.StatusForbidden)
			return
		}
		out, err := a.sts.AssumeRole(r.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(o.role), RoleSessionName: aws.String(r.PostFormValue("RoleSessionName"))})
		if err != nil {
			w.WriteHeader(http.StatusForbidden)
			writeXML(w, errorResponse{Code: "AccessDenied", Message: "your credentials cannot assume the role: " + err.Error()})
			return
		}
		c := out.Credentials
		writeXML(w, roleResponse{AccessKeyID: aws.ToString(c.AccessKeyId), SecretAccessKey: aws.ToString(c.SecretAccessKey), SessionToken: aws.ToString(c.SessionToken), Expiration: aws.ToTime(c.Expiration).UTC().Format(time.RFC3339)})
	})}
	go func() { _ = i.server.Serve(listener) }() // until close
	return i, nil
}

// roleResponse is the part of STS's response that the SDK reads (STS API Reference, AssumeRoleWithWebIdentity).
type roleResponse struct {
	XMLName         xml.Name `xml:"AssumeRoleWithWebIdentityResponse"`
	AccessKeyID     string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>AccessKeyId"`
	SecretAccessKey string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>SecretAccessKey"`
	SessionToken    string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>SessionToken"`
	Expiration      string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>Expiration"`
}

type errorResponse struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	Code    string   `xml:"Error>Code"`
	Message string   `xml:"Error>Message"`
}

func writeXML(w http.ResponseWriter, content any) { _ = xml.NewEncoder(w).Encode(content) } // the provider may be gone

func (i *identity) close() {
	if i.server != nil {
		_ = i.server.Close()
	}
}
