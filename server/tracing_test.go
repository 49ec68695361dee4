package server_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/tracing"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/otlpsim"
	"secrets-provider-aws/test/rig"
)

// collectTraces returns a collector and a tracer that exports to it.
func collectTraces(t *testing.T, objectNames bool) (*otlpsim.Sim, *tracing.Tracer) {
	t.Helper()
	collector, err := otlpsim.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(collector.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.HTTP())
	tracer, err := tracing.New(t.Context(), tracing.Options{
		Service: "secrets-provider-aws", Version: rig.Version, NodeName: rig.Node, ObjectNames: objectNames, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tracer.Close() }) // a second time in most tests, which have looked at the first
	return collector, tracer
}

// export ends the tracer, so that the collector has every span.
func export(t *testing.T, tracer *tracing.Tracer) {
	t.Helper()
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
}

// tree prints a trace, one line for each span, without what differs between runs.
func tree(s otlpsim.Span) string {
	var lines strings.Builder
	var write func(s otlpsim.Span, indent string)
	write = func(s otlpsim.Span, indent string) {
		fmt.Fprintf(&lines, "%s%s (%s)", indent, s.Name, s.Kind)
		var attributes []string
		for key, value := range s.Attributes {
			if key == "aws.request_id" || key == "bytes" {
				value = "…"
			}
			attributes = append(attributes, key+"="+value)
		}
		slices.Sort(attributes)
		fmt.Fprintf(&lines, " %s", strings.Join(attributes, " "))
		for _, event := range s.Events {
			fmt.Fprintf(&lines, " [%s]", event)
		}
		if s.Error != "" {
			fmt.Fprintf(&lines, " error: %s", s.Error)
		}
		lines.WriteByte('\n')
		for _, child := range s.Children {
			write(child, indent+"  ")
		}
	}
	write(s, "")
	return lines.String()
}

const (
	mountAttributes = "cloud.region=ap-south-1 k8s.namespace.name=payments k8s.pod.name=payment-7d4b9 k8s.serviceaccount.name=payment-sa"
	twoSecrets      = "- {objectName: canary-name-1a2b, objectType: secretsmanager}\n- {objectName: canary-name-3c4d, objectType: secretsmanager}\n"
	secretCall      = "    Secrets Manager.GetSecretValue (client) attempts=%d aws.request_id=… cloud.region=ap-south-1 outcome=%s rpc.method=GetSecretValue rpc.service=Secrets Manager rpc.system=aws-api%s\n"
)

func twoSecretsWorld() awssim.State {
	return awssim.State{Secrets: []awssim.Secret{
		{Region: rig.Region, Name: "canary-name-1a2b", Value: "canary-value-5e6f"}, {Region: rig.Region, Name: "canary-name-3c4d", Value: "canary-value-7g8h"},
	}}
}

// Each mount is one trace. A cold mount has a span for each call, a republish from the cache has none, and a mount that
// fails has the reason at every level.
func TestTraces_OfMounts(t *testing.T) {
	collector, tracer := collectTraces(t, false)
	clock := rig.NewClock()
	r := rig.New(t, rig.Options{State: twoSecretsWorld(), Tracer: tracer, Now: clock.Now})
	region := map[string]string{"region": rig.Region}
	r.Files(rig.Mount{Objects: twoSecrets, Parameters: region})
	r.Files(rig.Mount{Objects: twoSecrets, Parameters: region})
	if _, err := r.Mount(rig.Mount{Objects: "- {objectName: canary-missing, objectType: secretsmanager}", Parameters: region}); err == nil {
		t.Fatal("a mount of a secret that does not exist succeeded")
	}
	export(t, tracer)
	traces := collector.Traces()
	if len(traces) != 3 {
		t.Fatalf("%d traces of 3 mounts", len(traces))
	}
	found := fmt.Sprintf(secretCall, 1, "ok", "")
	want := []string{
		"Mount (server) " + mountAttributes + " objects=2 outcome=ok rpc.response.status_code=OK secretproviderclass.name=payment-secrets\n" +
			"  identify (internal) outcome=ok\n" +
			"    Kubernetes.get (client) k8s.resource=serviceaccounts outcome=ok\n" +
			"  fetch (internal) cached=0 failover=0 outcome=ok read=2 stale=0\n" +
			"    credentials (internal) from=sts outcome=ok shared=false\n" +
			"      STS.AssumeRoleWithWebIdentity (client) attempts=1 aws.request_id=… cloud.region=ap-south-1 outcome=ok rpc.method=AssumeRoleWithWebIdentity rpc.service=STS rpc.system=aws-api\n" +
			found + found +
			"    make files (internal) outcome=ok\n" +
			"  encode (internal) bytes=… files=2 outcome=ok\n",
		"Mount (server) " + mountAttributes + " objects=2 outcome=ok rpc.response.status_code=OK secretproviderclass.name=payment-secrets\n" +
			"  identify (internal) outcome=ok\n" +
			"  fetch (internal) cached=2 failover=0 outcome=ok read=0 stale=0\n" +
			"    make files (internal) outcome=ok\n" +
			"  encode (internal) bytes=… files=2 outcome=ok\n",
		"Mount (server) " + mountAttributes + " objects=1 outcome=not_found rpc.response.status_code=NotFound secretproviderclass.name=payment-secrets error: not_found\n" +
			"  identify (internal) outcome=ok\n" +
			"  fetch (internal) cached=0 failover=0 outcome=not_found read=0 stale=0 error: not_found\n" +
			fmt.Sprintf(secretCall, 1, "ResourceNotFoundException", " [attempt failed ResourceNotFoundException] error: ResourceNotFoundException"),
	}
	for i, trace := range traces {
		if diff := cmp.Diff(want[i], tree(trace)); diff != "" {
			t.Errorf("trace %d (-want +got):\n%s", i, diff)
		}
		if !strings.Contains(r.Logs(), "trace_id="+trace.TraceID) {
			t.Errorf("no line of the log has the id of trace %d", i)
		}
		t.Log("\n" + timed(trace, ""))
	}
	wantResource := map[string]string{"service.name": "secrets-provider-aws", "service.version": rig.Version, "k8s.node.name": rig.Node}
	for key, value := range wantResource {
		if got := collector.Resource()[key]; got != value {
			t.Errorf("resource: %s is %q, want %q", key, got, value)
		}
	}
}

// timed prints a trace with its durations, for a reader of the test's output.
func timed(s otlpsim.Span, indent string) string {
	text := fmt.Sprintf("%s%s %s\n", indent, s.Name, s.Duration)
	for _, child := range s.Children {
		text += timed(child, indent+"  ")
	}
	return text
}

// A call that is repeated is one span, with an event for each attempt that failed.
func TestTraces_Retries(t *testing.T) {
	collector, tracer := collectTraces(t, false)
	r := rig.New(t, rig.Options{State: twoSecretsWorld(), Tracer: tracer})
	r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Status: 503, Count: 1})
	r.Files(rig.Mount{Objects: "- {objectName: canary-name-1a2b, objectType: secretsmanager}", Parameters: map[string]string{"region": rig.Region}})
	export(t, tracer)
	text := tree(collector.Traces()[0])
	if want := fmt.Sprintf(secretCall, 2, "ok", " [attempt failed ServiceUnavailable]"); !strings.Contains(text, want) {
		t.Errorf("no span\n%sin\n%s", want, text)
	}
}

// Mounts wait for slots, and the trace shows it.
func TestTraces_WaitForASlot(t *testing.T) {
	collector, tracer := collectTraces(t, false)
	r := rig.New(t, rig.Options{State: twoSecretsWorld(), Tracer: tracer, AWSDelay: 100 * time.Millisecond, AWS: awsclient.Options{MaxCalls: 1}})
	r.Files(rig.Mount{Objects: twoSecrets, Parameters: map[string]string{"region": rig.Region}})
	export(t, tracer)
	if text := tree(collector.Traces()[0]); strings.Count(text, "      wait for a slot (internal) outcome=ok\n") != 1 {
		t.Errorf("two calls, one slot: want one wait in\n%s", text)
	}
}

// Names of objects are in traces only with ObjectNames, and so are error messages, which have them. Values never are.
func TestTraces_NamesOfObjects(t *testing.T) {
	const bad = "- {objectName: canary-name-1a2b, objectType: secretsmanager, jmesPath: [{path: canary_path, objectAlias: canary-alias}]}"
	for _, objectNames := range []bool{false, true} {
		t.Run(fmt.Sprint(objectNames), func(t *testing.T) {
			collector, tracer := collectTraces(t, objectNames)
			r := rig.New(t, rig.Options{State: twoSecretsWorld(), Tracer: tracer})
			region := map[string]string{"region": rig.Region}
			r.Files(rig.Mount{Objects: twoSecrets, Parameters: region})
			for name, objects := range map[string]string{
				"no JSON": bad, "missing": "- {objectName: canary-missing, objectType: secretsmanager}",
				"parameter": "- {objectName: canary-missing, objectType: ssmparameter}",
				"class":     "- {objectName: canary-name-1a2b}",
			} {
				if _, err := r.Mount(rig.Mount{Objects: objects, Parameters: region}); err == nil {
					t.Errorf("%s: the mount succeeded", name)
				}
			}
			r.AWS.Inject(awssim.Fault{Service: "secretsmanager", Code: "AccessDeniedException"})
			if _, err := r.Mount(rig.Mount{Objects: twoSecrets, Parameters: region}); err == nil {
				t.Error("a denied mount succeeded")
			}
			export(t, tracer)
			if n := len(collector.Traces()); n != 6 {
				t.Fatalf("%d traces, want 6", n)
			}
			for _, name := range []string{"canary-name-1a2b", "canary-name-3c4d", "canary-missing"} {
				if bytes.Contains(collector.Raw(), []byte(name)) != objectNames {
					t.Errorf("traces have the name %s: %v", name, !objectNames)
				}
			}
			canaries := []string{"canary-value-5e6f", "canary-value-7g8h"}
			if !objectNames {
				canaries = append(canaries, "canary")
			}
			for _, canary := range canaries {
				if bytes.Contains(collector.Raw(), []byte(canary)) {
					t.Errorf("traces have %s", canary)
				}
			}
		})
	}
}

// A collector that hangs takes nothing from mounts: they succeed, also when there are more spans than the queue holds,
// and the provider ends in time.
func TestTraces_CollectorHangs(t *testing.T) {
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
	collector, tracer := collectTraces(t, false)
	release := collector.Hang()
	defer release()
	r := rig.New(t, rig.Options{State: twoSecretsWorld(), Tracer: tracer})
	for range 20 {
		r.Files(rig.Mount{Objects: twoSecrets, Parameters: map[string]string{"region": rig.Region}})
	}
	if err := tracer.Close(); err == nil {
		t.Error("Close reports no loss")
	}
	if collector.Messages() == 0 || len(collector.Traces()) != 0 {
		t.Errorf("the collector got %d messages and took %d traces, want some and none", collector.Messages(), len(collector.Traces()))
	}
}

// A collector that is away takes nothing from mounts either.
func TestTraces_CollectorIsAway(t *testing.T) {
	collector, tracer := collectTraces(t, false)
	collector.Close()
	r := rig.New(t, rig.Options{State: twoSecretsWorld(), Tracer: tracer})
	for range 3 {
		r.Files(rig.Mount{Objects: twoSecrets, Parameters: map[string]string{"region": rig.Region}})
	}
}
