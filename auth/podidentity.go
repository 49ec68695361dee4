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

// Agent is where the EKS Pod Identity agent of the node listens. Its zero value is where EKS puts it
// (EKS User Guide, "Set up the Amazon EKS Pod Identity Agent"); other addresses are for tests.
type Agent struct {
	IPv4    string        // URL without path; http://169.254.170.23 where empty
	IPv6    string        // URL without path; http://[fd00:ec2::23] where empty
	Timeout time.Duration // for one request; 5 s where 0
}

const (
	agentPath = "/v1/credentials"
	// maxAgentAnswer is far more than credentials take.
	maxAgentAnswer = 64 << 10 // bytes
)

// agent asks the EKS Pod Identity agent for credentials.
type agent struct {
	ipv4, ipv6 string
	timeout    time.Duration
	http       *http.Client
	retryer    aws.Retryer
	now        func() time.Time

	mu       sync.Mutex
	answered string // the address that answered last: a node may have one that never does
}

func newAgent(cfg Agent, retryer func() aws.Retryer, now func() time.Time) *agent {
	if retryer == nil {
		retryer = func() aws.Retryer { return retry.NewStandard() }
	}
	return &agent{
		ipv4: cmp.Or(cfg.IPv4, "http://169.254.170.23"), ipv6: cmp.Or(cfg.IPv6, "http://[fd00:ec2::23]"),
		timeout: cmp.Or(cfg.Timeout, 5*time.Second),
		// The address is the node's own: no proxy, and nothing may lead the token elsewhere. A pod asks
		// once in hours, so that no connection is kept either.
		http: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		retryer: retryer(), now: now,
	}
}

// credentials gets the credentials of the pod of id for its token. addressType names the only kind of
// address to ask; empty is IPv4 and then IPv6. What passes, such as an agent that is not up yet on a new
// node, is tried again. Errors are *fault.Error.
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

// try asks the addresses in turn until one answers.
func (g *agent) try(ctx context.Context, id Identity, token Token, addressType string) (aws.Credentials, error) {
	var silence []string
	late := false
	for _, address := range g.addresses(addressType) {
		status, body, err := g.get(ctx, address, token)
		if err == nil {
			g.remember(address)
			return g.read(id, token, status, body)
		}
		reason := fault.NoAnswer(err)
		late = late || reason == fault.Late
		silence = append(silence, hostOf(address)+": "+reason)
		if ctx.Err() != nil {
			break
		}
	}
	e := &fault.Error{
		Kind: fault.Transient, What: agentWhat(id), Why: "the agent on the node does not respond: " + strings.Join(silence, "; "),
		Hint: "install the EKS add-on eks-pod-identity-agent; on a new node the agent may start later, and " + fault.RetryHint,
	}
	if late {
		e.Hint = "let NetworkPolicies allow the provider to reach port 80 of the agent; on a new node the agent may need longer, and " + fault.RetryHint
	}
	return aws.Credentials{}, e
}

// addresses are those to ask, in order: the one that answered last goes first.
func (g *agent) addresses(addressType string) []string {
	switch addressType {
	case "ipv4":
		return []string{g.ipv4}
	case "ipv6":
		return []string{g.ipv6}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.answered == g.ipv6 {
		return []string{g.ipv6, g.ipv4}
	}
	return []string{g.ipv4, g.ipv6}
}

// remember notes that an address has answered.
func (g *agent) remember(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answered = address
}

// get makes one request and reads all of the answer.
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
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAgentAnswer+1))
	return resp.StatusCode, body, err
}

// read makes credentials, or an error, of the agent's answer.
func (g *agent) read(id Identity, token Token, status int, body []byte) (aws.Credentials, error) {
	if status != http.StatusOK {
		return aws.Credentials{}, agentFault(id, token, status, body)
	}
	c, err := parseAgentAnswer(body, g.now())
	if err != nil {
		return aws.Credentials{}, &fault.Error{
			Kind: fault.Transient, What: agentWhat(id), Why: "the agent on the node returned no usable response: " + err.Error(), Hint: fault.RetryHint,
		}
	}
	return c, nil
}

// parseAgentAnswer reads credentials (pkg/credentials/model.go of aws/eks-pod-identity-agent). Its errors
// repeat nothing of the answer.
func parseAgentAnswer(body []byte, now time.Time) (aws.Credentials, error) {
	var answer struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		AccountID       string `json:"AccountId"`
		Expiration      time.Time
	}
	switch {
	case len(body) > maxAgentAnswer:
		return aws.Credentials{}, errors.New("it is longer than 64 KiB")
	case json.Unmarshal(body, &answer) != nil:
		return aws.Credentials{}, errors.New("it is not the JSON of credentials")
	case answer.AccessKeyID == "" || answer.SecretAccessKey == "" || answer.Token == "" || answer.Expiration.IsZero():
		return aws.Credentials{}, errors.New("it lacks AccessKeyId, SecretAccessKey, Token or Expiration")
	case !now.Before(answer.Expiration):
		return aws.Credentials{}, errors.New("its credentials have expired, by the clock of the node")
	}
	return aws.Credentials{
		AccessKeyID: answer.AccessKeyID, SecretAccessKey: answer.SecretAccessKey, SessionToken: answer.Token,
		AccountID: answer.AccountID, CanExpire: true, Expires: answer.Expiration,
	}, nil
}

// agentTextRE takes the agent's errors apart: "[request id]: (Code): message, fault: client", the text
// that it makes of EKS Auth's answers (pkg/errors/errors.go there). Its own errors are plain sentences.
var agentTextRE = regexp.MustCompile(`^(?:\[([\w-]*)\]: )?\((\w+)\): (.*?)(?:, fault: \w+)?$`)

// agentFault explains why the agent gave no credentials, and what to change.
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

// agentWhat says in a message what was being done.
func agentWhat(id Identity) string {
	return fmt.Sprintf("ServiceAccount %s/%s gets no credentials from EKS Pod Identity", id.Namespace, id.ServiceAccount)
}

// hostOf is the host of an agent's URL, for messages.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Host
}

// pause waits for d, or reports that ctx has ended.
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
