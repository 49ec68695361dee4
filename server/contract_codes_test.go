package server_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/rig"
)

// final are the codes that may leave Mount. See the comment on the server's own table.
var final = map[codes.Code]bool{
	codes.InvalidArgument: true, codes.FailedPrecondition: true, codes.Unauthenticated: true,
	codes.PermissionDenied: true, codes.NotFound: true, codes.Internal: true,
}

// wantFinal holds an error that came over the wire to the final codes.
func wantFinal(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	if code := status.Code(err); !final[code] {
		t.Errorf("%s has left Mount, which is not final: %v", code, err)
	}
}

// bothObjects makes a volume call every operation that there is.
const bothObjects = dbSecret + "- {objectName: /prod/url, objectType: ssmparameter}\n"

var bothWorld = awssim.State{
	Secrets:    dbWorld.Secrets,
	Parameters: []awssim.Parameter{{Region: rig.Region, Name: "/prod/url", Value: "https://example.com"}},
}

var operations = []string{assume, getSecret, "ssm:GetParameters", askAgent, chain}

// calling gives the parameters of a volume that calls the operation, besides reading bothObjects.
func calling(operation string) map[string]string {
	switch operation {
	case askAgent:
		return map[string]string{"region": rig.Region, "usePodIdentity": "true"}
	case chain:
		return map[string]string{"region": rig.Region, "assumeRoleArn": secondARN}
	}
	return inRegion()
}

// everyWay is a house where all of calling works; o.Policies are of each role.
func everyWay(t *testing.T, o rig.Options) *rig.Rig {
	t.Helper()
	o.Policies = []awssim.Document{rig.ReadSecrets, rig.ReadParameters, awssim.AllowPolicy("*", "sts:AssumeRole", "sts:TagSession")}
	o.Agent.IPv6 = noAgent // so that one attempt is one call
	r := rig.New(t, o)
	if err := r.AWS.AddPodIdentityAssociation(awssim.PodIdentityAssociation{Namespace: rig.Namespace, ServiceAccount: rig.ServiceAccount, RoleARN: podRoleARN}); err != nil {
		t.Fatal(err)
	}
	setRole(t, r, awssim.Role{ARN: podRoleARN, TrustPolicy: awssim.PodIdentityTrustPolicy, Policies: o.Policies})
	setRole(t, r, awssim.Role{ARN: secondARN, TrustPolicy: trustEverybody(r.Issuer), Policies: o.Policies})
	return r
}

// Roles of everyWay: of the Pod Identity association, and to go on to from the ServiceAccount's.
const (
	podRoleARN = "arn:aws:iam::123456789012:role/pod-role"
	secondARN  = "arn:aws:iam::123456789012:role/second-role"
)

// reads reports whether an operation reads an object, by credentials that another gave.
func reads(operation string) bool { return operation == getSecret || operation == "ssm:GetParameters" }

// place is the region as messages about an operation name it: the agent is the node's.
func place(operation string) string {
	if operation == askAgent {
		return ""
	}
	return rig.Region
}

func fault(operation string, f awssim.Fault) awssim.Fault {
	f.Service, f.Operation, _ = strings.Cut(operation, ":")
	return f
}

// Whatever AWS answers, in every status and error code that its references list, is final.
func TestD26_WhateverAWSAnswers(t *testing.T) {
	answers := []awssim.Fault{
		{Status: 400}, {Status: 403}, {Status: 404}, {Status: 408}, {Status: 413}, {Status: 500}, {Status: 502}, {Status: 504}, {Cut: true},
	}
	for _, code := range []string{
		"AccessDeniedException", "DecryptionFailure", "ExpiredTokenException", "IDPCommunicationError", "InternalServiceError",
		"InvalidIdentityToken", "InvalidParameterException", "InvalidRequestException", "MalformedPolicyDocument", "PackedPolicyTooLarge",
		"RequestTimeout", "ResourceNotFoundException", "ServiceQuotaExceededException", "UnrecognizedClientException", "NoSuchThingException",
		// The throttlings come last: the SDK slows down after them.
		"LimitExceededException", "RequestLimitExceeded", "SlowDown", "ThrottlingException", "TooManyRequestsException",
	} {
		answers = append(answers, awssim.Fault{Code: code})
	}
	answers = append(answers, awssim.Fault{Status: 429}, awssim.Fault{Status: 503})
	for _, operation := range operations {
		t.Run(operation, func(t *testing.T) {
			// One attempt, and a house of its own: the SDK slows down for all that follows a throttling.
			r := everyWay(t, rig.Options{State: bothWorld, AWS: awsclient.Options{MaxAttempts: 1}})
			mount := rig.Mount{Parameters: calling(operation), Objects: bothObjects}
			for _, answer := range answers {
				remove := r.AWS.Inject(fault(operation, answer))
				before := r.AWS.Calls()[operation]
				_, err := r.Mount(mount)
				remove()
				want := 1
				if reads(operation) && refusesCredentials[answer.Code] {
					want = 2 // once more, with new credentials
				}
				if calls := r.AWS.Calls()[operation] - before; calls != want {
					t.Errorf("%+v: %d calls, want %d", answer, calls, want)
				}
				wantFinal(t, err)
				if err != nil && (!strings.Contains(err.Error(), answer.Code) || !strings.Contains(err.Error(), place(operation))) {
					t.Errorf("%+v: the message lacks AWS's code or the region: %v", answer, err)
				}
			}
			if _, err := r.Mount(mount); err != nil {
				t.Errorf("AWS is well again, and the mount fails: %v", err)
			}
		})
	}
}

// AWS takes the call and never answers: the attempt's time-out ends it, and where that is long, the mount's.
func TestD31_ABlackHole(t *testing.T) {
	type house struct {
		*rig.Rig
		name, operation string
		calls           int
	}
	var houses []house
	for _, operation := range operations {
		for name, o := range map[string]rig.Options{
			"time-out of the attempts": {AWS: awsclient.Options{AttemptTimeout: time.Second, MaxAttempts: 2}},
			"time-out of the mount":    {AWS: awsclient.Options{AttemptTimeout: time.Hour, MaxAttempts: 1}, MountTimeout: 3 * time.Second},
		} {
			o.State, o.Agent.Timeout = bothWorld, o.AWS.AttemptTimeout
			h := house{everyWay(t, o), operation + ", " + name, operation, o.AWS.MaxAttempts}
			h.AWS.Inject(fault(operation, awssim.Fault{Hang: true}))
			houses = append(houses, h)
		}
	}
	var waiting sync.WaitGroup
	for _, h := range houses {
		waiting.Go(func() {
			_, err := h.Mount(rig.Mount{Parameters: calling(h.operation), Objects: bothObjects})
			wantStatus(t, err, codes.Internal, place(h.operation), "no response in time")
			if got := h.AWS.Calls()[h.operation]; got != h.calls {
				t.Errorf("%s: %d calls, want %d", h.name, got, h.calls)
			}
		})
	}
	waiting.Wait()
}

// The API server takes the connection and says nothing.
func TestD31_ABlackHoleForAnAPIServer(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld, APIServer: "http://" + blackHole(t), MountTimeout: 300 * time.Millisecond})
	_, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: dbSecret})
	wantStatus(t, err, codes.Internal, "cannot read ServiceAccount payments/payment-sa", "the API server does not respond")
}

// blackHole is the address of a listener whose connections nobody takes.
func blackHole(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// The caller's deadline is shorter than all that the provider may take: the provider still answers
// first, for a client whose deadline passes makes DeadlineExceeded by itself.
func TestD32_AnswersBeforeTheCallersDeadline(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld, AWS: awsclient.Options{AttemptTimeout: time.Hour}})
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := r.Client.Mount(ctx, r.Request(rig.Mount{Parameters: inRegion(), Objects: dbSecret}))
	wantStatus(t, err, codes.Internal, `cannot read secret "prod/db" in `+rig.Region, "no response in time")
	if ctx.Err() != nil {
		t.Errorf("the answer came after the caller's deadline: %v", ctx.Err())
	}
}

// A caller that leaves gets whatever its client makes of that; what the server made of it, which the
// driver's log or a proxy may show, is final all the same.
func TestD26_ACallerThatLeaves(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld, AWS: awsclient.Options{AttemptTimeout: time.Hour}})
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Hang: true})
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	req := r.Request(rig.Mount{Parameters: inRegion(), Objects: dbSecret})
	go func() {
		_, err := r.Client.Mount(ctx, req)
		done <- err
	}()
	awaitCalls(t, r, "secretsmanager:GetSecretValue")
	leave()
	if err := <-done; status.Code(err) != codes.Canceled {
		t.Errorf("the client gave %v", err)
	}
	r.Running().Terminate() // and with it everything that it logs
	if err := r.Running().Wait(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(r.Logs(), "code=Internal") {
		t.Errorf("the server's own code is not Internal: %s", r.Logs())
	}
}

// A volume with many failures is one failure, with one final code.
func TestD28_ManyFailuresAtOnce(t *testing.T) {
	r := rig.New(t, rig.Options{})
	var objects strings.Builder
	for i := range 30 {
		fmt.Fprintf(&objects, "- {objectName: none%02d, objectType: secretsmanager}\n", i)
	}
	_, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: objects.String()})
	wantStatus(t, err, codes.NotFound, "30 failures", "none00", "none09", "and 20 more")
}

// refusesCredentials are the codes by which AWS says that it does not take the credentials.
var refusesCredentials = map[string]bool{
	"ExpiredToken": true, "ExpiredTokenException": true, "UnrecognizedClientException": true, "InvalidClientTokenId": true,
	"InvalidSignatureException": true, "SignatureDoesNotMatch": true, "IncompleteSignature": true,
	"IncompleteSignatureException": true, "MissingAuthenticationToken": true, "MissingAuthenticationTokenException": true,
}
