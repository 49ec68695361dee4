package server

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"k8s.io/client-go/metadata"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
)

// Parts of a token that no error may repeat. The fuzzer's text is between them.
const (
	canaryHead = "canary-head-of-the-token"
	canaryTail = "canary-tail-of-the-token"
)

// noKubernetes is an API server that must not be called.
type noKubernetes struct{ metadata.Interface }

// FuzzDecode runs the steps of a request before the first AWS call. The input is valid JSON built from the
// fuzzer's parts, so that it passes the first check. Nothing panics, every error is a *fault.Error, and no error
// contains a token.
func FuzzDecode(f *testing.F) {
	authenticator, err := auth.New(auth.Config{Kubernetes: noKubernetes{}})
	if err != nil {
		f.Fatal(err)
	}
	const objects = "- objectName: prod/db\n  objectType: secretsmanager\n  jmesPath:\n  - {path: user, objectAlias: db-user}\n"
	const claims = `{"iss":"https://oidc.eks.ap-south-1.amazonaws.com/id/EXAMPLE","sub":"system:serviceaccount:payments:payment-sa","exp":4102444800,` +
		`"kubernetes.io":{"node":{"name":"node-1"},"serviceaccount":{"uid":"u"}}}`
	const inAttributes, inSecrets, asClaims, asTokens = 0, 1, 2, 4 // bits of shape
	f.Add("payments", "payment-sa", objects, "region", "ap-south-1", claims, "420", inAttributes|asClaims)
	f.Add("payments", "payment-sa", objects, "pathTranslation", "False", claims, "420", inSecrets|asClaims)
	f.Add("payments", "payment-sa", "- {objectName: /a, objectType: ssmparameter}", "usePodIdentity", "true", "no JWT", "256", inAttributes)
	f.Add("payments", "other-sa", "[]", "roleArn", "arn:aws:iam::123456789012:role/r", claims, "0", inAttributes|asClaims)
	f.Add("", "", "", "", "", "", "", inAttributes)
	f.Add("n", "s", objects, attrTokens, `{"sts.amazonaws.com":{"token":"x"}}`, `{"sts.amazonaws.com":{"token":1}}`, "512", asTokens)
	f.Add("n", "s", objects, "secretProviderClass", "class", `{"sub":1e400}`, "0x1a4", inSecrets|asClaims)
	f.Add("n", "s", "\x00", attrPodNamespace, "\xff", "null", "-1", inSecrets|asTokens)

	f.Fuzz(func(t *testing.T, namespace, account, objects, key, value, token, permission string, shape int) {
		for _, s := range []*string{&namespace, &account, &objects, &key, &value, &token, &permission} {
			*s = strings.ToValidUTF8(*s, "\uFFFD") // protobuf accepts only UTF-8
		}
		attributes := map[string]string{
			attrPodNamespace: namespace, attrServiceAccount: account, attrPodName: "pod", attrPodUID: "uid",
			attrClass: "class", "objects": objects, key: value,
		}
		jwt := canaryHead + token + canaryTail
		if shape&asClaims != 0 {
			jwt = canaryHead + "." + base64.RawURLEncoding.EncodeToString([]byte(token)) + "." + canaryTail
		}
		tokens := canaryHead + token + canaryTail
		if shape&asTokens == 0 {
			tokens = string(mustJSON(t, map[string]any{"sts.amazonaws.com": map[string]string{"token": jwt}}))
		}
		req := &v1alpha1.MountRequest{TargetPath: "/target", Permission: permission, Secrets: "null"}
		if shape&inSecrets != 0 {
			req.Secrets = string(mustJSON(t, map[string]string{attrTokens: tokens}))
		} else {
			attributes[attrTokens] = tokens
		}
		req.Attributes = string(mustJSON(t, attributes))

		v, err := decode(req)
		if err != nil {
			checkError(t, err)
			return
		}
		if v.mode > 0o777 || v.pod.Namespace == "" || v.pod.ServiceAccount == "" || v.targetPath == "" {
			t.Fatalf("decoded to a volume that cannot be mounted: mode %o, pod %+v", v.mode, v.pod)
		}
		if _, kept := v.parameters[attrTokens]; kept {
			t.Fatal("the tokens are still among the parameters")
		}
		spc, err := class.Parse(v.parameters, "eu-west-1")
		checkError(t, err)
		for _, warning := range spc.Warnings {
			checkText(t, warning.String())
		}
		_, _, err = authenticator.Identify(t.Context(), v.pod, v.tokens, auth.IdentityOptions{PodIdentity: spc.PodIdentity, RoleARN: "arn:aws:iam::123456789012:role/r"})
		checkError(t, err)
		checkText(t, v.classRef())
	})
}

// checkError checks that an error is a *fault.Error with a final code, one line long, and without the token.
func checkError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if ours := (*fault.Error)(nil); !errors.As(err, &ours) || fault.KindOf(err) == fault.Internal {
		t.Fatalf("%T is not a *fault.Error, or it has kind internal: %v", err, err)
	}
	wantFinal(t, toStatus(err, "payments/payment-secrets"))
	checkText(t, err.Error())
	checkText(t, fmt.Sprintf("%+v %#v", err, err))
	if strings.ContainsAny(err.Error(), "\r\n") || !utf8.ValidString(err.Error()) {
		t.Fatalf("not one valid line: %q", err)
	}
}

func checkText(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, canaryHead) || strings.Contains(text, canaryTail) {
		t.Fatalf("the token shows: %q", text)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
