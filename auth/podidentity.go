package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"secrets-provider-aws/internal/fault"
)

// Agent holds the addresses of the node's EKS Pod Identity agent. The zero value has the addresses of EKS
// (EKS User Guide, "Set up the Amazon EKS Pod Identity Agent"). Tests set others.
type Agent struct {
	IPv4    string        // URL without path; empty: http://169.254.170.23
	IPv6    string        // URL without path; empty: http://[fd00:ec2::23]
	Timeout time.Duration // of one request; 0: 5 s
}

const (
	agentPath = "/v1/credentials"
	// maxAgentResponse is much larger than any credentials.
	maxAgentResponse = 64 << 10 // bytes
)

// agent is a client of the EKS Pod Identity agent.
type agent struct {
	ipv4, ipv6 string
	timeout    time.Duration
	http       *http.Client
	retryer    aws.Retryer
	now        func() time.Time

	mu          sync.Mutex
	lastAddress string // the last address that responded; on some nodes only one of the two ever does
}

func newAgent(cfg Agent, retryer func() aws.Retryer, now func() time.Time) *agent {
	if retryer == nil {
		retryer = func() aws.Retryer { return retry.NewStandard() }
	}
	return &agent{
		ipv4: cmp.Or(cfg.IPv4, "http://169.254.170.23"), ipv6: cmp.Or(cfg.IPv6, "http://[fd00:ec2::23]"),
		timeout: cmp.Or(cfg.Timeout, 5*time.Second),
		// The agent runs on this node: a proxy or a redirect would leak the token. A pod needs one request in
		// hours, so no connection is kept.
		http: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		retryer: retryer(), now: now,
	}
}

// credentials exchanges the token for credentials of the pod of id. addressType, "ipv4" or "ipv6", selects
// one address; empty means IPv4, then IPv6. Transient failures are retried: on a new node the agent may start
// after the pod. Errors are *fault.Error.
func (g *agent) credentials(ctx context.Context, id Identity, token Token, addressType string) (aws.Credentials, error) {
	for attempt := 1; ; attempt++ {
		c, err := g.try(ctx, id, token, addressType)
		if fault.KindOf(err) != fault.Transient || attempt >= g.retryer.MaxAttempts() {
			return c, err
		}
		delay, unknown := g.retryer.RetryDelay(attempt, err)
		if unknown != nil || !pause(ctx, delay) {
			return c, err
		}
	}
}

// try calls each address until one responds.
func (g *agent) try(ctx context.Context, id Identity, token Token, addressType string) (aws.Credentials, error) {
	var failures []string
	late := false
	for _, address := range g.addresses(addressType) {
		status, body, err := g.get(ctx, address, token)
		if err == nil {
			g.remember(address)
			return g.read(id, token, status, body)
		}
		reason := fault.NoAnswer(err)
		late = late || reason == fault.Late
		failures = append(failures, hostOf(address)+": "+reason)
		if ctx.Err() != nil {
			break
		}
	}
	e := &fault.Error{
		Kind: fault.Transient, What: agentWhat(id), Why: "the agent on the node does not respond: " + strings.Join(failures, "; "),
		Hint: "install the EKS add-on eks-pod-identity-agent; on a new node the agent may start later, and " + fault.RetryHint,
	}
	if late {
		e.Hint = "let NetworkPolicies allow the provider to reach port 80 of the agent; on a new node the agent may need longer, and " + fault.RetryHint
	}
	return aws.Credentials{}, e
}

// addresses returns the addresses to call, in order. The last one that responded comes first.
func (g *agent) addresses(addressType string) []string {
	switch addressType {
	case "ipv4":
		return []string{g.ipv4}
	case "ipv6":
		return []string{g.ipv6}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lastAddress == g.ipv6 {
		return []string{g.ipv6, g.ipv4}
	}
	return []string{g.ipv4, g.ipv6}
}

// remember records that address responded.
func (g *agent) remember(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lastAddress = address
}

// get makes one request and reads the whole response.
func (g *agent) get(ctx context.Context, address string, token Token) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+agentPath, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", token.raw)
	resp, err := g.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAgentResponse+1))
	return resp.StatusCode, body, err
}

// read turns a response of the agent into credentials or an error.
func (g *agent) read(id Identity, token Token, status int, body []byte) (aws.Credentials, error) {
	if status != http.StatusOK {
		return aws.Credentials{}, agentFault(id, token, status, body)
	}
	c, err := parseAgentResponse(body, g.now())
	if err != nil {
		return aws.Credentials{}, &fault.Error{
			Kind: fault.Transient, What: agentWhat(id), Why: "the agent on the node returned no usable response: " + err.Error(), Hint: fault.RetryHint,
		}
	}
	return c, nil
}

// parseAgentResponse parses credentials (pkg/credentials/model.go of aws/eks-pod-identity-agent). Its errors
// contain no part of the response.
func parseAgentResponse(body []byte, now time.Time) (aws.Credentials, error) {
	var response struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		AccountID       string `json:"AccountId"`
		Expiration      time.Time
	}
	switch {
	case len(body) > maxAgentResponse:
		return aws.Credentials{}, errors.New("it is longer than 64 KiB")
	case json.Unmarshal(body, &response) != nil:
		return aws.Credentials{}, errors.New("it is not the JSON of credentials")
	case response.AccessKeyID == "" || response.SecretAccessKey == "" || response.Token == "" || response.Expiration.IsZero():
		return aws.Credentials{}, errors.New("it lacks AccessKeyId, SecretAccessKey, Token or Expiration")
	case !now.Before(response.Expiration):
		return aws.Credentials{}, errors.New("its credentials have expired, by the clock of the node")
	}
	return aws.Credentials{
		AccessKeyID: response.AccessKeyID, SecretAccessKey: response.SecretAccessKey, SessionToken: response.Token,
		AccountID: response.AccountID, CanExpire: true, Expires: response.Expiration,
	}, nil
}

// agentTextRE parses errors of EKS Auth as the agent formats them: "[request id]: (Code): message, fault: client"
// (pkg/errors/errors.go of the agent). The agent's own errors are plain sentences.
var agentTextRE = regexp.MustCompile(`^(?:\[([\w-]*)\]: )?\((\w+)\): (.*?)(?:, fault: \w+)?$`)

// agentFault explains an error response of the agent. It redacts the token.
func agentFault(id Identity, token Token, status int, body []byte) error {
	text := string(body)
	for _, part := range append([]string{token.raw}, strings.Split(token.raw, ".")...) {
		if len(part) >= 8 {
			text = strings.ReplaceAll(text, part, "[redacted]")
		}
	}
	e := &fault.Error{
		Kind: fault.Credentials, What: agentWhat(id), Message: fault.Foreign(text),
		Why: fmt.Sprintf("the agent on the node returned %d %s", status, http.StatusText(status)),
	}
	if parts := agentTextRE.FindStringSubmatch(e.Message); parts != nil {
		e.RequestID, e.Code, e.Message = parts[1], parts[2], parts[3]
	}
	if status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || strings.HasPrefix(e.Code, "Throttling") {
		e.Kind, e.Hint = fault.Transient, fault.RetryHint
		return e
	}
	switch {
	case e.Code == "ResourceNotFoundException":
		e.Hint = fmt.Sprintf("aws eks create-pod-identity-association --cluster-name CLUSTER --namespace %s --service-account %s --role-arn ROLE_ARN", id.Namespace, id.ServiceAccount)
	case e.Code == "AccessDeniedException":
		e.Hint = "in the trust policy of the associated role, allow the service " + AudienceEKS + " sts:AssumeRole and sts:TagSession"
	case e.Code == "ExpiredTokenException", strings.Contains(e.Message, "token is expired"):
		e.Hint = "compare the node's clock with the API server's clock"
	case e.Code == "InvalidTokenException":
		e.Hint = "the agent must belong to the cluster that the pod runs in"
	}
	return e
}

// agentWhat names the failed operation in messages.
func agentWhat(id Identity) string {
	return fmt.Sprintf("ServiceAccount %s/%s gets no credentials from EKS Pod Identity", id.Namespace, id.ServiceAccount)
}

// hostOf returns the host of an agent's URL, for messages.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Host
}

// pause waits for d. It returns false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// checkPodUID refuses the token of another pod: credentials of EKS Pod Identity belong to one pod.
func checkPodUID(pod Pod, token Token) error {
	uid := token.PodUID()
	switch {
	case uid == "":
		return &fault.Error{
			Kind: fault.Identity, What: fmt.Sprintf("cannot identify ServiceAccount %s/%s to EKS Pod Identity", pod.Namespace, pod.ServiceAccount),
			Why:  "its token is bound to no pod, as with the secrets-store-sync-controller, and EKS Pod Identity gives credentials to a pod only",
			Hint: "remove usePodIdentity, and annotate the ServiceAccount with a role or set roleArn",
		}
	case pod.UID == "":
		return &fault.Error{
			Kind: fault.Identity, What: "cannot identify the pod", Why: "the CSI driver sent no pod uid, which EKS Pod Identity needs",
			Hint: "set podInfoOnMount: true in the CSIDriver object secrets-store.csi.k8s.io",
		}
	case uid != pod.UID:
		return &fault.Error{
			Kind: fault.Identity, What: fmt.Sprintf("cannot identify pod %s/%s to AWS", pod.Namespace, pod.Name),
			Why: "its token belongs to another pod", Hint: "a pod can only use its own token",
		}
	}
	return nil
}
