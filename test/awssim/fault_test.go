package awssim_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/awssim"
)

func TestFaultsMatch(t *testing.T) {
	b := start(t)
	b.addRole(t, awssim.Role{Name: "all", TrustPolicy: b.issuer.TrustPolicy("payment", "api"), Policies: []awssim.Document{awssim.AllowPolicy("*", "*")}})
	creds := b.session(t, "arn:aws:iam::"+account+":role/all")
	b.PutParameter(region, "/app/db", "x")
	described, err := b.secrets(creds).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("db")})
	if err != nil {
		t.Fatal(err)
	}
	parameterARN := "arn:aws:ssm:" + region + ":" + account + ":parameter/app/db"
	get := func(id string) func() error {
		return func() error {
			_, err := b.secrets(creds).GetSecretValue(context.Background(), &secretsmanager.GetSecretValueInput{SecretId: &id})
			return err
		}
	}
	parameter := func(name string) func() error {
		return func() error {
			_, err := b.ssm(creds).GetParameters(context.Background(), &ssm.GetParametersInput{Names: []string{name}})
			return err
		}
	}
	batch := func() error {
		_, err := b.secrets(creds).BatchGetSecretValue(context.Background(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"x", "db"}})
		return err
	}
	for name, tc := range map[string]struct {
		fault awssim.Fault
		call  func() error
		hit   bool
	}{
		"everything":               {awssim.Fault{}, get("db"), true},
		"the service":              {awssim.Fault{Service: "secretsmanager"}, get("db"), true},
		"another service":          {awssim.Fault{Service: "ssm"}, get("db"), false},
		"the operation":            {awssim.Fault{Operation: "GetSecretValue"}, get("db"), true},
		"another operation":        {awssim.Fault{Operation: "DescribeSecret"}, get("db"), false},
		"the region":               {awssim.Fault{Region: region}, get("db"), true},
		"another region":           {awssim.Fault{Region: "eu-west-1"}, get("db"), false},
		"the object":               {awssim.Fault{Object: "db"}, get("db"), true},
		"another object":           {awssim.Fault{Object: "d"}, get("db"), false},
		"by name, call by ARN":     {awssim.Fault{Object: "db"}, get(*described.ARN), true},
		"by ARN, call by name":     {awssim.Fault{Object: *described.ARN}, get("db"), true},
		"by ARN, call by ARN":      {awssim.Fault{Object: *described.ARN}, get(*described.ARN), true},
		"one of a batch":           {awssim.Fault{Object: "db"}, batch, true},
		"a parameter":              {awssim.Fault{Object: "/app/db"}, parameter("/app/db"), true},
		"a parameter's version":    {awssim.Fault{Object: "/app/db"}, parameter("/app/db:1"), true},
		"a parameter, call by ARN": {awssim.Fault{Object: "/app/db"}, parameter(parameterARN), true},
		"an ARN with a version":    {awssim.Fault{Object: "/app/db"}, parameter(parameterARN + ":1"), true},
		"a parameter's ARN":        {awssim.Fault{Object: parameterARN}, parameter("/app/db"), true},
		"another parameter":        {awssim.Fault{Object: "/app/d"}, parameter("/app/db"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.call(); err != nil {
				t.Fatalf("without the fault: %v", err)
			}
			tc.fault.Status, tc.fault.Code, tc.fault.Message = 400, "ThrottlingException", "Rate exceeded"
			remove := b.Inject(tc.fault)
			err := tc.call()
			remove()
			if tc.hit {
				wantError(t, err, 400, "ThrottlingException", "Rate exceeded")
			} else if err != nil {
				t.Errorf("the fault hits: %v", err)
			}
			if err := tc.call(); err != nil {
				t.Errorf("after removing the fault: %v", err)
			}
		})
	}
}

func TestFaultDefaults(t *testing.T) {
	b := start(t)
	creds := b.payment(t)
	for name, tc := range map[string]struct {
		fault  awssim.Fault
		status int
		code   string
	}{
		"status only":     {awssim.Fault{Status: 500}, 500, "InternalServiceError"},
		"unavailable":     {awssim.Fault{Status: 503}, 503, "ServiceUnavailable"},
		"too many":        {awssim.Fault{Status: 429}, 429, "ThrottlingException"},
		"code only":       {awssim.Fault{Code: "DecryptionFailure"}, 400, "DecryptionFailure"},
		"status and code": {awssim.Fault{Status: 418, Code: "Teapot"}, 418, "Teapot"},
	} {
		t.Run(name, func(t *testing.T) {
			defer b.Inject(tc.fault)()
			wantError(t, getDB(t, b.secrets(creds)), tc.status, tc.code, "")
		})
	}
	t.Run("query protocol", func(t *testing.T) {
		defer b.Inject(awssim.Fault{Service: "sts", Object: paymentRole, Status: 503})()
		_, err := b.webIdentity(t, paymentRole, b.token(t, paymentToken()))
		wantError(t, err, 503, "ServiceUnavailable", "")
	})
}

func TestFaultCountAndOrder(t *testing.T) {
	b := start(t)
	client := b.secrets(b.payment(t))
	b.Inject(awssim.Fault{Count: 2, Code: "First"})
	b.Inject(awssim.Fault{Count: 1, Code: "Second"})
	for _, code := range []string{"First", "First", "Second"} {
		wantError(t, getDB(t, client), 400, code, "")
	}
	if err := getDB(t, client); err != nil {
		t.Errorf("a fault still applies: %v", err)
	}
}

func TestHangEndsWhenTheClientLeaves(t *testing.T) {
	b := start(t)
	client := b.secrets(b.payment(t))
	b.ResetCalls()
	defer b.Inject(awssim.Fault{Hang: true})()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
		done <- err
	}()
	waitFor(t, "the call to arrive", func() bool { return len(b.CallLog()) == 1 }) // the log shows a call before its response
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the cancellation", err)
	}
	if c := b.CallLog()[0]; c.Status != 0 || c.Operation != "GetSecretValue" {
		t.Errorf("the log has %+v, want a GetSecretValue without response", c)
	}
}

func TestCloseEndsHangingCalls(t *testing.T) {
	b := start(t)
	client := b.secrets(b.payment(t))
	b.ResetCalls()
	b.Inject(awssim.Fault{Hang: true})
	done := make(chan error, 1)
	go func() { done <- getDB(t, client) }()
	waitFor(t, "the call to arrive", func() bool { return len(b.CallLog()) == 1 })
	b.Close()
	if err := <-done; err == nil {
		t.Error("a hanging call succeeds")
	}
}

func TestCut(t *testing.T) {
	b := start(t)
	client := b.secrets(b.payment(t))
	defer b.Inject(awssim.Fault{Cut: true})()
	err := getDB(t, client)
	if resp := (*awshttp.ResponseError)(nil); err == nil || errors.As(err, &resp) && resp.HTTPStatusCode() != 0 {
		t.Errorf("error %v, want a cut connection", err)
	}
}

func TestLatencyAloneOnlyDelays(t *testing.T) {
	b := start(t)
	client := b.secrets(b.payment(t))
	defer b.Inject(awssim.Fault{Latency: 50 * time.Millisecond})()
	begin := time.Now()
	if err := getDB(t, client); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 50*time.Millisecond { // only a lower bound: a loaded machine may be slower
		t.Errorf("it took %v", took)
	}
}

func TestDelayAppliesToCallsOnly(t *testing.T) {
	b := start(t, func(c *awssim.Config) { c.Delay = 50 * time.Millisecond })
	begin := time.Now()
	_ = b.payment(t)
	if took := time.Since(begin); took < 50*time.Millisecond {
		t.Errorf("a call took %v", took)
	}
}

func TestFaultJSON(t *testing.T) {
	want := awssim.Fault{Service: "ssm", Count: 2, Latency: 1500 * time.Millisecond, Hang: true}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"service":"ssm","count":2,"hang":true,"latency":"1.5s"}`, string(data)); diff != "" {
		t.Error(diff)
	}
	var got awssim.Fault
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{`{"sevice": "ssm"}`, `{"latency": "soon"}`, `{"latency": 5}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestCallLogAndCounts(t *testing.T) {
	b := start(t)
	client := b.secrets(b.payment(t))
	if err := getDB(t, client); err != nil {
		t.Fatal(err)
	}
	_, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("other")})
	wantError(t, err, 400, "AccessDeniedException", "")
	if diff := cmp.Diff(map[string]int{"sts:AssumeRoleWithWebIdentity": 1, "secretsmanager:GetSecretValue": 2}, b.Calls()); diff != "" {
		t.Error(diff)
	}
	const session = "arn:aws:sts::" + account + ":assumed-role/payment-role/payment-api"
	want := []awssim.Call{
		{Service: "sts", Operation: "AssumeRoleWithWebIdentity", Object: paymentRole, Principal: session, Status: 200},
		{Service: "secretsmanager", Operation: "GetSecretValue", Region: region, Object: "db", Principal: session, Status: 200},
		{Service: "secretsmanager", Operation: "GetSecretValue", Region: region, Object: "other", Principal: session, Status: 400,
			Code: "AccessDeniedException"},
	}
	got := b.CallLog()
	for i := range got {
		if got[i].UserAgent == "" {
			t.Error("a call has no user agent")
		}
		got[i].UserAgent = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	b.ResetCalls()
	if len(b.Calls())+len(b.CallLog()) != 0 {
		t.Error("the calls are still in the log")
	}
	if status := statusOf(t, mustRequest(t, http.MethodGet, b.issuer.URL()+"/.well-known/openid-configuration")); status != 200 {
		t.Errorf("discovery: %d", status)
	}
	if len(b.Calls()) != 0 {
		t.Error("discovery counts as a call")
	}
}

func mustRequest(t *testing.T, method, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
