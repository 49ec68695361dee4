package server

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/provider"
	"secrets-provider-aws/test/csidriver"
)

// These benchmarks cover the steps of a mount that use only the CPU. Compare two versions with
//
//	go test -run '^$' -bench . -count 10 ./server ./provider | tee new.txt; benchstat old.txt new.txt

// benchObjects is the number of objects in the volume of the benchmarks.
const benchObjects = 20

func benchRequest(b *testing.B) *v1alpha1.MountRequest {
	b.Helper()
	var objects strings.Builder
	for i := range benchObjects {
		fmt.Fprintf(&objects, "- objectName: prod/payments/secret-%d\n  objectType: secretsmanager\n", i)
	}
	claims := `{"iss":"https://oidc.example/id/1","sub":"system:serviceaccount:payments:payment-sa","exp":4102444800,` +
		`"kubernetes.io":{"node":{"name":"node-1"},"serviceaccount":{"name":"payment-sa","uid":"7b1c"}}}`
	token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + strings.Repeat("s", 342)
	req, err := csidriver.Volume{
		Namespace: "payments", ServiceAccount: "payment-sa", Pod: "payment-7d4b9", PodUID: "9c2e", Class: "payment-secrets",
		Parameters: map[string]string{"region": "ap-south-1", "objects": objects.String()},
		Tokens:     map[string]string{"sts.amazonaws.com": token},
	}.Request()
	if err != nil {
		b.Fatal(err)
	}
	return req
}

func BenchmarkDecodeRequest(b *testing.B) {
	req := benchRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decode(req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeResponse(b *testing.B) {
	for _, size := range []int{64, 4096} {
		b.Run(fmt.Sprintf("%dx%dB", benchObjects, size), func(b *testing.B) {
			files := make([]provider.File, benchObjects)
			for i := range files {
				files[i] = provider.File{Path: fmt.Sprintf("secret-%d", i), Content: make([]byte, size), Version: "a-version-of-thirty-two-characters"}
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := encode(files, 0o644, 4<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
