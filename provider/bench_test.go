package provider

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/volume"
)

// benchParameters returns the parameters of a plain SecretProviderClass with 20 secrets.
func benchParameters() map[string]string {
	var objects strings.Builder
	for i := range 20 {
		fmt.Fprintf(&objects, "- objectName: prod/payments/secret-%d\n  objectType: secretsmanager\n", i)
	}
	return map[string]string{"region": "ap-south-1", "objects": objects.String()}
}

func benchClass(b *testing.B) class.Class {
	b.Helper()
	spc, err := class.Parse(benchParameters(), "")
	if err != nil {
		b.Fatal(err)
	}
	return spc
}

func BenchmarkParse(b *testing.B) {
	params := benchParameters()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := class.Parse(params, ""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	req := Request{Owner: "an identity", Class: benchClass(b)}
	b.ReportAllocs()
	for b.Loop() {
		_ = newPlan(req)
	}
}

// BenchmarkFetchWarm measures a republish within the refresh interval: all values come from the cache.
func BenchmarkFetchWarm(b *testing.B) {
	f, err := New(Config{AWS: aws.Config{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	req := Request{Owner: "an identity", Volume: "a volume", Class: benchClass(b), MaxBytes: 4 << 20, Memory: bytebudget.New(1 << 40).Open("test")}
	f.volumes.add(req.Volume)
	for _, t := range newPlan(req).primary {
		f.regions.cache.update("a tenant", t.key, time.Hour, func(record) record {
			// Read in the future, so that the value stays fresh during the benchmark.
			return record{value: volume.Value{Content: make([]byte, 64), Version: "1"}, read: time.Now().Add(time.Hour), spread: 1}
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		result, err := f.Fetch(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		if result.Cached != len(req.Class.Objects) {
			b.Fatalf("not served from the cache: %+v", result.Sources)
		}
	}
}
