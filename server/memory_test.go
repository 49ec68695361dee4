package server

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/testing/protocmp"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/internal/bytebudget"
)

// gRPC ends a request when its response is queued, and frees the message when it is sent.
func TestT15_AQueuedResponseKeepsItsMemory(t *testing.T) {
	for name, tt := range map[string]struct {
		bytes        int
		afterTheCall int64
	}{
		"large": {1 << 20, 1000},
		"small": {10, 0}, // gRPC does not tell when it has sent it
	} {
		t.Run(name, func(t *testing.T) {
			m := memory{bytebudget.New(1 << 20)}
			ctx := m.TagRPC(t.Context(), &stats.RPCTagInfo{})
			if err := m.open(ctx, volume{}).Grow(context.Background(), 1000); err != nil {
				t.Fatal(err)
			}
			want := func(when string, used int64) {
				t.Helper()
				if got := m.budget.Used(); got != used {
					t.Errorf("%s: %d bytes in use, want %d", when, got, used)
				}
			}
			resp := &v1alpha1.MountResponse{Files: []*v1alpha1.File{{Path: "a", Contents: make([]byte, tt.bytes)}}}
			message, err := newCodec().Marshal(withAccount(ctx, resp))
			if err != nil {
				t.Fatal(err)
			}
			want("before the call ends", 1000)
			m.HandleRPC(ctx, &stats.End{})
			want("after the call", tt.afterTheCall)
			var got v1alpha1.MountResponse
			if err := newCodec().Unmarshal(message, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(resp, &got, protocmp.Transform()); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			message.Free()
			want("after it is sent", 0)
		})
	}
}
