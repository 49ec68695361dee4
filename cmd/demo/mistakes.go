package main

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"
	"sigs.k8s.io/yaml"

	"secrets-provider-aws/test/awssim"
)

// mistake is a common mistake, set up and ready to mount.
type mistake struct {
	title      string
	cause      string
	shown      string // the faulty text; empty if there is none to show
	pod        corev1.Pod
	parameters map[string]string

	code  codes.Code // of the response
	names []string   // that the message must contain
	calls int        // that AWS must receive

	change string               // the advice that the demo prints
	fix    func(*mistake) error // makes that change
}

func (s *story) tellMistakes(ctx context.Context) error {
	s.title("Three mistakes, as `kubectl describe pod` shows them")
	s.say("The messages are exact, only wrapped at %d columns. In each case nothing is mounted and the pod waits. The kubelet "+
		"retries, and the pod starts when the mistake is fixed.", pageWidth)
	for _, prepare := range []func() (mistake, error){s.untrusted, s.denied, s.mistyped} {
		m, err := prepare()
		if err == nil {
			err = s.tellMistake(ctx, m)
		}
		if err != nil {
			return fmt.Errorf("mistake %q: %w", m.title, err)
		}
	}
	return nil
}

func (s *story) tellMistake(ctx context.Context, m mistake) error {
	s.heading(m.title)
	s.say("%s", m.cause)
	if m.shown != "" {
		s.show(m.shown)
	}
	dir := s.work.path("mistakes", m.pod.Name)
	message, err := s.fail(ctx, m, dir)
	if err != nil {
		return err
	}
	s.quote(message)
	s.say("Fix: %s", m.change)

	if err := m.fix(&m); err != nil {
		return err
	}
	if err := s.mount(ctx, m.pod, m.parameters, dir); err != nil {
		return fmt.Errorf("mount after the fix: %w", err)
	}
	files, err := s.expectFiles(dir, dbAfter, passwordAfter)
	if err != nil {
		return err
	}
	s.say("With that change the next attempt mounts all %d files.", len(files))
	s.explained++
	return nil
}

// fail mounts m, checks that the mount fails as m expects, and returns the message of the pod's event.
func (s *story) fail(ctx context.Context, m mistake, dir string) (string, error) {
	s.aws.ResetCalls()
	err := s.mount(ctx, m.pod, m.parameters, dir)
	if status.Code(err) != m.code {
		return "", fmt.Errorf("the mount returned %s, want %s: %w", status.Code(err), m.code, err)
	}
	message := failedMount(m.pod, err)
	for _, name := range m.names {
		if !strings.Contains(message, name) {
			return "", fmt.Errorf("the message does not name %s: %s", name, message)
		}
	}
	if calls := len(s.aws.CallLog()); calls != m.calls {
		return "", fmt.Errorf("AWS received %d calls, want %d", calls, m.calls)
	}
	files, err := readVolume(dir)
	if err == nil && len(files) > 0 {
		err = fmt.Errorf("%d files are mounted, want none", len(files))
	}
	return message, err
}

// failedMount is the message of the pod's event. The driver wraps the provider's message, and the kubelet
// wraps the driver's (NodePublishVolume in pkg/secrets-store/nodeserver.go of the driver; gRPC keeps the code).
func failedMount(pod corev1.Pod, err error) string {
	err = fmt.Errorf("failed to mount secrets store objects for pod %s/%s, err: %w", pod.Namespace, pod.Name, err)
	return fmt.Sprintf("MountVolume.SetUp failed for volume %q : %v", pod.Spec.Volumes[0].Name, status.Convert(err).Err())
}

// untrusted is a pod with a ServiceAccount that its role does not trust.
func (s *story) untrusted() (mistake, error) {
	const account = "batch-sa"
	s.kube.SetServiceAccount(s.pod.Namespace, account, s.serviceAccount.Annotations)
	trusted := "system:serviceaccount:" + s.pod.Namespace + ":" + s.serviceAccount.Name
	subject := "system:serviceaccount:" + s.pod.Namespace + ":" + account
	return mistake{
		title: "The role does not trust the ServiceAccount",
		cause: fmt.Sprintf("A batch job needs the same secrets. Its ServiceAccount %s has the same role in its annotation, but the "+
			"role's trust policy allows only %s.", account, s.serviceAccount.Name),
		pod:        s.podOf("batch-5xk2p", account),
		parameters: s.class.Spec.Parameters,
		code:       codes.Unauthenticated,
		names:      []string{account, s.roleARN(), "AccessDenied", subject},
		calls:      1,
		change:     "add " + subject + " to the role's trust policy, or give " + account + " its own role.",
		fix: func(*mistake) error {
			role := s.role(s.issuer)
			both := fmt.Sprintf(`[%q, %q]`, trusted, subject)
			role.TrustPolicy = awssim.Document(strings.Replace(string(role.TrustPolicy), `"`+trusted+`"`, both, 1))
			return s.aws.SetRole(role)
		},
	}, nil
}

// denied is a pod with a role that may read only one of its two secrets.
func (s *story) denied() (mistake, error) {
	const account = "report-sa"
	const roleARN = "arn:aws:iam::" + awssim.DefaultAccount + ":role/report-role"
	s.kube.SetServiceAccount(s.pod.Namespace, account, map[string]string{roleAnnotation: roleARN})
	arnOf := func(secret string) string {
		return fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-??????", s.region(), awssim.DefaultAccount, secret)
	}
	allow := func(arns ...string) error {
		return s.aws.SetRole(awssim.Role{
			ARN:         roleARN,
			TrustPolicy: s.issuer.TrustPolicy(s.pod.Namespace, account),
			Policies:    []awssim.Document{awssim.Document(strings.Replace(s.permissionPolicy, `"*"`, `["`+strings.Join(arns, `", "`)+`"]`, 1))},
		})
	}
	return mistake{
		title:      "The policy lacks the secret",
		cause:      "The SecretProviderClass lists two secrets. " + account + " has its own role. The role's policy names only one of them:",
		shown:      arnOf(apiKeySecret),
		pod:        s.podOf("report-8qw4z", account),
		parameters: s.class.Spec.Parameters,
		code:       codes.PermissionDenied,
		names:      []string{dbSecret, s.region(), "AccessDeniedException", "report-role", "secretsmanager:GetSecretValue"},
		calls:      3,
		change: "add " + arnOf(dbSecret) + " to the Resource of the policy. (AWS appends a hyphen and six random " +
			"characters to the name in a secret's ARN.)",
		fix: func(*mistake) error { return allow(arnOf(apiKeySecret), arnOf(dbSecret)) },
	}, allow(arnOf(apiKeySecret))
}

// mistyped is the article's SecretProviderClass with two typos.
func (s *story) mistyped() (mistake, error) {
	text := strings.Replace(s.classText, "objectType: secretsmanager", "objectType: secretmanager", 1)
	text = strings.Replace(text, `filePermission: "0444"`, `filePermission: "444"`, 1)
	var class secretsstore.SecretProviderClass
	err := yaml.UnmarshalStrict([]byte(text), &class)
	return mistake{
		title:      "Typos in the SecretProviderClass",
		cause:      "Two characters are missing. The provider reports both typos at once and does not call AWS.",
		shown:      changedLines(s.classText, text),
		pod:        s.podOf("payment-9m3rd", s.serviceAccount.Name),
		parameters: class.Spec.Parameters,
		code:       codes.InvalidArgument,
		names:      []string{"objects[0].objectType", `"secretmanager"`, "objects[1].jmesPath[0].filePermission", `"444"`},
		change:     `write objectType: secretsmanager and filePermission: "0444".`,
		fix: func(m *mistake) error {
			m.parameters = s.class.Spec.Parameters
			return nil
		},
	}, err
}

// changedLines lists the lines of changed that differ from text, with their numbers. Both have the same number of lines.
func changedLines(text, changed string) string {
	var b strings.Builder
	before := strings.Split(text, "\n")
	for i, line := range strings.Split(changed, "\n") {
		if line != before[i] {
			fmt.Fprintf(&b, "line %d:  %s\n", i+1, strings.TrimSpace(line))
		}
	}
	return b.String()
}
