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

// final are the codes that Mount may return. The comment on statusCodes gives the reason.
var final = map[codes.Code]bool{
	codes.InvalidArgument: true, codes.FailedPrecondition: true, codes.Unauthenticated: true,
	codes.PermissionDenied: true, codes.NotFound: true, codes.Internal: true,
}

// wantFinal checks that an error from the socket has a final code.
func wantFinal(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	if code := status.Code(err); !final[code] {
		t.Errorf("Mount returned %s, which is not final: %v", code, err)
	}
}

// bothObjects is a secret and a parameter, so that a volume calls both services.
const bothObjects = dbSecret + "- {objectName: /prod/url, objectType: ssmparameter}\n"

var bothWorld = awssim.State{
	Secrets:    dbWorld.Secrets,
	Parameters: []awssim.Parameter{{Region: rig.Region, Name: "/prod/url", Value: "https://example.com"}},
}

var operations = []string{assumeWebIdentity, getSecret, "ssm:GetParameters", agentCredentials, assumeRole}

// calling returns the parameters of a volume that calls the operation when it reads bothObjects.
func calling(operation string) map[string]string {
	switch operation {
	case agentCredentials:
		return map[string]string{"region": rig.Region, "usePodIdentity": "true"}
	case assumeRole:
		return map[string]string{"region": rig.Region, "assumeRoleArn": secondARN}
	}
	return inRegion()
}

// allOperationsRig is a rig in which every operation succeeds. Each role gets the same policies.
func allOperationsRig(t *testing.T, o rig.Options) *rig.Rig {
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

// podRoleARN belongs to the Pod Identity association. secondARN is the role for assumeRoleArn.
const (
	podRoleARN = "arn:aws:iam::123456789012:role/pod-role"
	secondARN  = "arn:aws:iam::123456789012:role/second-role"
)

// reads reports whether an operation reads an object. The others return credentials.
func reads(operation string) bool { return operation == getSecret || operation == "ssm:GetParameters" }

// regionOf is the region in messages about an operation. The Pod Identity agent is on the node and has none.
func regionOf(operation string) string {
	if operation == agentCredentials {
		return ""
	}
	return rig.Region
}

func fault(operation string, f awssim.Fault) awssim.Fault {
	f.Service, f.Operation, _ = strings.Cut(operation, ":")
	return f
}

// Every HTTP status and error code of the AWS references gives a final code.
func TestD26_EveryAWSResponseGivesAFinalCode(t *testing.T) {
	responses := []awssim.Fault{
		{Status: 400}, {Status: 403}, {Status: 404}, {Status: 408}, {Status: 413}, {Status: 500}, {Status: 502}, {Status: 504}, {Cut: true},
	}
	for _, code := range []string{
		"AccessDeniedException", "DecryptionFailure", "ExpiredTokenException", "IDPCommunicationError", "InternalServiceError",
		"InvalidIdentityToken", "InvalidParameterException", "InvalidRequestException", "MalformedPolicyDocument", "PackedPolicyTooLarge",
		"RequestTimeout", "ResourceNotFoundException", "ServiceQuotaExceededException", "UnrecognizedClientException", "NoSuchThingException",
		// Throttling comes last, because the SDK slows down after it.
		"LimitExceededException", "RequestLimitExceeded", "SlowDown", "ThrottlingException", "TooManyRequestsException",
	} {
		responses = append(responses, awssim.Fault{Code: code})
	}
	responses = append(responses, awssim.Fault{Status: 429}, awssim.Fault{Status: 503})
	for _, operation := range operations {
		t.Run(operation, func(t *testing.T) {
			// Each operation has its own rig, because the SDK slows down every call after throttling.
			r := allOperationsRig(t, rig.Options{State: bothWorld, AWS: awsclient.Options{MaxAttempts: 1}})
			mount := rig.Mount{Parameters: calling(operation), Objects: bothObjects}
			for _, response := range responses {
				remove := r.AWS.Inject(fault(operation, response))
				before := r.AWS.Calls()[operation]
				_, err := r.Mount(mount)
				remove()
				want := 1
				if reads(operation) && refusesCredentials[response.Code] {
					want = 2 // the retry with new credentials
				}
				if calls := r.AWS.Calls()[operation] - before; calls != want {
					t.Errorf("%+v: %d calls, want %d", response, calls, want)
				}
				wantFinal(t, err)
				if err != nil && (!strings.Contains(err.Error(), response.Code) || !strings.Contains(err.Error(), regionOf(operation))) {
					t.Errorf("%+v: the message lacks AWS's code or the region: %v", response, err)
				}
			}
			if _, err := r.Mount(mount); err != nil {
				t.Errorf("the mount fails after AWS has recovered: %v", err)
			}
		})
	}
}

// AWS accepts the call and never responds. The timeout of the attempt ends it, or the timeout of the mount.
func TestD31_AWSHangs(t *testing.T) {
	type testCase struct {
		*rig.Rig
		name, operation string
		calls           int
	}
	var cases []testCase
	for _, operation := range operations {
		for name, o := range map[string]rig.Options{
			"timeout of the attempts": {AWS: awsclient.Options{AttemptTimeout: time.Second, MaxAttempts: 2}},
			"timeout of the mount":    {AWS: awsclient.Options{AttemptTimeout: time.Hour, MaxAttempts: 1}, MountTimeout: 3 * time.Second},
		} {
			o.State, o.Agent.Timeout = bothWorld, o.AWS.AttemptTimeout
			h := testCase{allOperationsRig(t, o), operation + ", " + name, operation, o.AWS.MaxAttempts}
			h.AWS.Inject(fault(operation, awssim.Fault{Hang: true}))
			cases = append(cases, h)
		}
	}
	var waiting sync.WaitGroup
	for _, h := range cases {
		waiting.Go(func() {
			_, err := h.Mount(rig.Mount{Parameters: calling(h.operation), Objects: bothObjects})
			wantStatus(t, err, codes.Internal, regionOf(h.operation), "no response in time")
			if got := h.AWS.Calls()[h.operation]; got != h.calls {
				t.Errorf("%s: %d calls, want %d", h.name, got, h.calls)
			}
		})
	}
	waiting.Wait()
}

// The API server accepts the connection and never responds.
func TestD31_APIServerHangs(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld, APIServer: "http://" + blackHole(t), MountTimeout: 300 * time.Millisecond})
	_, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: dbSecret})
	wantStatus(t, err, codes.Internal, "cannot read ServiceAccount payments/payment-sa", "the API server does not respond")
}

// blackHole returns the address of a listener that accepts no connection.
func blackHole(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// The caller's deadline is shorter than the timeouts of the provider. The provider still responds first,
// because a gRPC client returns DeadlineExceeded itself when its deadline passes.
func TestD32_RespondsBeforeTheCallersDeadline(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld, AWS: awsclient.Options{AttemptTimeout: time.Hour}})
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := r.Client.Mount(ctx, r.Request(rig.Mount{Parameters: inRegion(), Objects: dbSecret}))
	wantStatus(t, err, codes.Internal, `cannot read secret "prod/db" in `+rig.Region, "no response in time")
	if ctx.Err() != nil {
		t.Errorf("the response came after the caller's deadline: %v", ctx.Err())
	}
}

// A client that cancels its call gets Canceled from its own library. The server still logs a final code.
func TestD26_CanceledCallGivesAFinalCode(t *testing.T) {
	r := rig.New(t, rig.Options{State: dbWorld, AWS: awsclient.Options{AttemptTimeout: time.Hour}})
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	req := r.Request(rig.Mount{Parameters: inRegion(), Objects: dbSecret})
	go func() {
		_, err := r.Client.Mount(ctx, req)
		done <- err
	}()
	awaitCalls(t, r, "secretsmanager:GetSecretValue")
	cancel()
	if err := <-done; status.Code(err) != codes.Canceled {
		t.Errorf("the client returned %v, want Canceled", err)
	}
	r.Running().Terminate() // flushes the log line of the mount
	if err := r.Running().Wait(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(r.Logs(), "code=Internal") {
		t.Errorf("the server's own code is not Internal: %s", r.Logs())
	}
}

// Many failures in one volume give one status with one final code.
func TestD28_ManyFailuresGiveOneStatus(t *testing.T) {
	r := rig.New(t, rig.Options{})
	var objects strings.Builder
	for i := range 30 {
		fmt.Fprintf(&objects, "- {objectName: none%02d, objectType: secretsmanager}\n", i)
	}
	_, err := r.Mount(rig.Mount{Parameters: inRegion(), Objects: objects.String()})
	wantStatus(t, err, codes.NotFound, "30 failures", "none00", "none09", "and 20 more")
}

// refusesCredentials are the codes with which AWS refuses credentials.
var refusesCredentials = map[string]bool{
	"ExpiredToken": true, "ExpiredTokenException": true, "UnrecognizedClientException": true, "InvalidClientTokenId": true,
	"InvalidSignatureException": true, "SignatureDoesNotMatch": true, "IncompleteSignature": true,
	"IncompleteSignatureException": true, "MissingAuthenticationToken": true, "MissingAuthenticationTokenException": true,
}
