package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"secrets-provider-aws/test/awssim"
)

// story is the running demo.
type story struct {
	*page
	*article
	*world

	mountTook, rotateTook time.Duration
	explained             int // mistakes
}

// tell runs the steps in order until one fails.
func tell(ctx context.Context, p *page, a *article, w *world) error {
	s := &story{page: p, article: a, world: w}
	s.opening()
	for _, step := range []func(context.Context) error{
		s.tellPod, s.tellServiceAccount, s.tellTrust, s.tellRole, s.tellDriver, s.tellSecretsManager, s.tellFiles, s.tellRotation,
		s.tellMistakes,
	} {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.ending()
	return p.err
}

func (s *story) opening() {
	s.title("One mount, from pod to files: %s", s.version)
	s.show("Pod → ServiceAccount → OIDC trust → IAM role → CSI driver → Secrets Manager → files")
	s.say("The provider is the real program in its own process. The rest is simulated on this machine: an AWS that checks " +
		"tokens, signatures and policies as strictly as the real one, the Kubernetes API, and the CSI driver, which writes " +
		"the files with its own code. All names and values are invented, so this page can show secret values.")
}

func (s *story) tellPod(context.Context) error {
	s.heading("Pod")
	s.say("%s needs its secrets as files under %s. Its manifest names a ServiceAccount, a SecretProviderClass and a mount "+
		"path. It contains no key and no secret.", s.pod.Name, s.mountPath())
	s.show(s.podText)
	return nil
}

func (s *story) tellServiceAccount(context.Context) error {
	s.heading("ServiceAccount")
	s.say("%s is the identity of the pod. The annotation names its IAM role.", s.serviceAccount.Name)
	s.show(s.serviceAccountText)
	token, err := s.token(s.pod)
	if err != nil {
		return err
	}
	claims, err := readClaims(token)
	if err != nil {
		return err
	}
	s.say("For each mount the cluster signs a short-lived token. The token itself stays hidden. These are its claims. " +
		"(On EKS the issuer is https://oidc.eks.REGION.amazonaws.com/id/... instead.)")
	s.show(fmt.Sprintf("iss  %s\nsub  %s\naud  %s", claims.Issuer, claims.Subject, strings.Join(claims.Audience, ", ")))
	return nil
}

func (s *story) tellTrust(context.Context) error {
	s.heading("OIDC trust")
	s.say("The AWS account trusts this issuer and verifies tokens with its public keys. The role's trust policy allows one " +
		"ServiceAccount of that issuer, for one audience:")
	s.show(s.trust(s.issuer))
	return nil
}

func (s *story) tellRole(context.Context) error {
	s.heading("IAM role")
	s.say("These are the permissions of %s. The provider needs no others:", s.roleARN())
	s.show(s.permissionPolicy)
	return nil
}

func (s *story) tellDriver(ctx context.Context) error {
	s.heading("CSI driver")
	s.say("The SecretProviderClass lists what to mount: one plain secret and one JSON secret. The password in the JSON also " +
		"gets its own file, which only its owner may read:")
	s.show(s.classText)
	s.say("On the node the provider runs with this command and listens on the Unix socket aws.sock in its volume:")
	s.show(strings.Join(s.command, " \\\n    "))
	started := time.Now()
	if err := s.mount(ctx, s.pod, s.class.Spec.Parameters, s.work.mount()); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	s.mountTook = time.Since(started)
	s.say("The driver sends the provider these parameters, the pod's name and the token. It received the files after %s.", brief(s.mountTook))
	return nil
}

func (s *story) tellSecretsManager(context.Context) error {
	const assume, read = "sts:AssumeRoleWithWebIdentity", "secretsmanager:GetSecretValue"
	s.heading("Secrets Manager")
	calls := s.aws.CallLog()
	// The provider reads the secrets concurrently. Sorting gives the page one order.
	slices.SortStableFunc(calls, func(a, b awssim.Call) int {
		if a.Service != b.Service {
			return 0
		}
		return strings.Compare(a.Object, b.Object)
	})
	var lines []string
	session := ""
	for _, c := range calls {
		lines = append(lines, fmt.Sprintf("%s:%s  %s  %s", c.Service, c.Operation, c.Region, c.Object))
		if c.Code != "" || c.Region != s.region() {
			return fmt.Errorf("AWS returned %q for %s", c.Code, lines[len(lines)-1])
		}
		session = c.Principal
	}
	if got, want := s.aws.Calls(), (map[string]int{assume: 1, read: 2}); !maps.Equal(got, want) {
		return fmt.Errorf("AWS received the calls %v, want %v", got, want)
	}
	if got, want := s.kube.Calls(), (map[string]int{"GET serviceaccounts": 1}); !maps.Equal(got, want) {
		return fmt.Errorf("the Kubernetes API received the calls %v, want %v", got, want)
	}
	s.say("These are the calls to AWS. STS exchanges the token for temporary credentials of the role, which then read the secrets.")
	s.show(strings.Join(lines, "\n"))
	s.say("The calls went over TLS to %s. CloudTrail names the workload:", strings.Join(s.aws.ProxiedHosts(), " and "))
	s.show(session)
	s.say("The Kubernetes API received one call, for the ServiceAccount. There were no other calls.")
	return nil
}

func (s *story) tellFiles(context.Context) error {
	s.heading("Files")
	s.say("The pod sees these files. (The page shows their contents only because they are invented.)")
	files, err := s.expectFiles(s.work.mount(), dbBefore, passwordBefore)
	if err != nil {
		return err
	}
	s.show(s.mountPath() + "\n" + listing(files, nil))
	return nil
}

func (s *story) tellRotation(ctx context.Context) error {
	s.heading("Rotation")
	before, err := s.expectFiles(s.work.mount(), dbBefore, passwordBefore)
	if err != nil {
		return err
	}
	folderBefore, err := os.Readlink(s.work.path(mountFolder, "secrets", dataLink))
	if err != nil {
		return err
	}
	s.say("An operator stores a new value in the secret:")
	s.aws.PutSecret(s.region(), dbSecret, dbAfter)
	s.show("aws secretsmanager put-secret-value --region " + s.region() + " --secret-id " + dbSecret + " \\\n" +
		"    --secret-string '" + dbAfter + "'")
	started := time.Now()
	after, err := s.republishUntil(ctx, dbAfter, passwordAfter)
	if err != nil {
		return err
	}
	s.rotateTook = time.Since(started)
	folderAfter, err := os.Readlink(s.work.path(mountFolder, "secrets", dataLink))
	if err == nil && folderAfter == folderBefore {
		err = errors.New("the files did not change atomically: the link still points to the old folder")
	}
	if err != nil {
		return err
	}
	s.say("About once a minute the kubelet republishes the volume. The provider responds from its cache until a value is older "+
		"than --refresh-interval (default 2 minutes, here one second), no matter how many pods share it. Then it reads the new "+
		"value, and the running pod sees it. The driver replaces all files atomically, by one symbolic link. This took %s:", brief(s.rotateTook))
	s.show(s.mountPath() + "\n" + listing(after, before))
	return nil
}

// republishUntil republishes the volume, as the kubelet does but more ticker, until the pod sees these files.
func (s *story) republishUntil(ctx context.Context, db, password string) ([]file, error) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		if err := s.mount(ctx, s.pod, s.class.Spec.Parameters, s.work.mount()); err != nil {
			return nil, fmt.Errorf("republish: %w", err)
		}
		files, err := s.expectFiles(s.work.mount(), db, password)
		if err == nil {
			return files, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("the new value did not arrive: %w", err)
		}
	}
}

func (s *story) ending() {
	s.title("Done")
	s.say("%s from pod to files, %s to a new value, %d mistakes explained and fixed.",
		brief(s.mountTook), brief(s.rotateTook), s.explained)
}

// expectFiles reads the files in dir and compares them with the expected ones.
func (s *story) expectFiles(dir, db, password string) ([]file, error) {
	got, err := readVolume(dir)
	want := []file{{"api-key", 0o644, apiKey}, {"db-password", 0o444, password}, {"db.json", 0o644, db}}
	if err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("the mounted files are\n%s\nwant\n%s", listing(got, nil), listing(want, nil))
	}
	return got, err
}

// mountPath is the path of the volume in the pod.
func (s *story) mountPath() string { return s.pod.Spec.Containers[0].VolumeMounts[0].MountPath }

// claims are those claims of a token that the demo prints.
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience []string `json:"aud"`
}

func readClaims(token string) (claims, error) {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errors.New("the token is not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, fmt.Errorf("read the token's claims: %w", err)
	}
	return c, json.Unmarshal(payload, &c)
}

// brief formats a duration in milliseconds.
func brief(d time.Duration) string { return fmt.Sprintf("%d ms", max(d.Milliseconds(), 1)) }
