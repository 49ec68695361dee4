package main

import (
	"fmt"
	"regexp"
	"strings"
)

// row is one part of the dashboard.
type row struct {
	title  string
	panels []panel
}

// panel is one drawing. NODE in a query stands for the selected nodes, p_ for the prefix of the provider's metrics.
type panel struct {
	title, description string
	unit               string  // of Grafana
	bad                float64 // shows one number, red from here on; 0: lines
	queries            []query
}

type query struct{ expr, legend string }

var prefix = regexp.MustCompile(`\bp_`)

// q replaces the short forms of a query.
func q(expr, legend string) query {
	return query{strings.ReplaceAll(prefix.ReplaceAllString(expr, "secrets_provider_aws_"), "NODE", `node=~"$node"`), legend}
}

// quantile is a quantile of a histogram, classic or native, whichever Prometheus has.
func quantile(of float64, histogram, selector, by, legend string) query {
	classic := fmt.Sprintf("histogram_quantile(%v, sum by (le, %s) (rate(%s_bucket{%s}[$__rate_interval])))", of, by, histogram, selector)
	native := fmt.Sprintf("histogram_quantile(%v, sum by (%s) (rate(%s{%s}[$__rate_interval])))", of, by, histogram, selector)
	return q(classic+" or "+native, legend)
}

var rows = []row{
	{"Is anything wrong?", []panel{
		{"Volumes whose refresh fails", "Their pods run with old secrets.", "none", 1, []query{q(`sum(p_refresh_failing_volumes{NODE})`, "")}},
		{"Longest failing refresh", "Of the volume that fails the longest.", "s", 900, []query{q(`max(p_refresh_failing_seconds{NODE})`, "")}},
		{"Failed first mounts, 5 minutes", "Their pods cannot start.", "none", 1, []query{q(`sum(increase(p_mounts_total{phase="first",result="error",NODE}[5m]))`, "")}},
		{"Sockets that do not answer", "No pod can mount there.", "none", 1, []query{q(`count(p_socket_up{NODE} == 0) or vector(0)`, "")}},
		{"Oldest value", "Age of the oldest value in a refreshed volume.", "s", 3600, []query{q(`max(p_oldest_value_age_seconds{NODE})`, "")}},
		{"Stale values, 15 minutes", "Pods that started with last known values, because AWS failed.", "none", 1, []query{q(`sum(increase(p_values_total{source="stale",NODE}[15m]))`, "")}},
		{"Volumes of a failover region", "The primary region of these volumes fails.", "none", 1, []query{q(`sum(p_failover_volumes{NODE})`, "")}},
		{"Throttled requests, 5 minutes", "AWS refuses them because of its quotas.", "none", 1, []query{q(`sum(increase(p_requests_total{code=~"(Request)?(Throttl|LimitExceeded).*|TooManyRequests.*|SlowDown|429",NODE}[5m]))`, "")}},
	}},
	{"Mounts", []panel{
		{"Mount requests", "First mounts are those of pods that start, republishes the refreshes of running pods.", "reqps", 0, []query{q(`sum by (phase, result) (rate(p_mounts_total{NODE}[$__rate_interval]))`, "{{phase}} {{result}}")}},
		{"Failed mount requests by reason", "The reasons are the kinds of errors in docs/reference.md.", "reqps", 0, []query{q(`sum by (phase, reason) (rate(p_mounts_total{result="error",NODE}[$__rate_interval]))`, "{{phase}} {{reason}}")}},
		{"Duration of mount requests", "", "s", 0, []query{
			quantile(0.5, "p_mount_duration_seconds", "NODE", "phase", "{{phase}} median"),
			quantile(0.99, "p_mount_duration_seconds", "NODE", "phase", "{{phase}} 99 %"),
		}},
		{"Values by source", "Read from AWS, cached, of the failover region, or stale.", "ops", 0, []query{q(`sum by (source) (rate(p_values_total{NODE}[$__rate_interval]))`, "{{source}}")}},
	}},
	{"Refreshes", []panel{
		{"Volumes", "All that the driver refreshes, and those whose refresh fails, by reason.", "none", 0, []query{
			q(`sum(p_refreshing_volumes{NODE})`, "refreshed"),
			q(`sum by (reason) (p_refresh_failing_volumes{NODE}) > 0`, "failing: {{reason}}"),
		}},
		{"Age of the oldest value", "The ten nodes with the oldest.", "s", 0, []query{q(`topk(10, max by (node) (p_oldest_value_age_seconds{NODE}))`, "{{node}}")}},
		{"Since the last successful refresh", "The ten nodes with the longest time.", "s", 0, []query{q(`topk(10, time() - max by (node) (p_last_refresh_success_timestamp_seconds{NODE} > 0))`, "{{node}}")}},
		{"Longest failing refresh", "The ten nodes with the longest.", "s", 0, []query{q(`topk(10, max by (node) (p_refresh_failing_seconds{NODE}))`, "{{node}}")}},
	}},
	{"AWS", []panel{
		{"Requests", "Each attempt of a call. AWS bills those of Secrets Manager.", "reqps", 0, []query{q(`sum by (service, operation) (rate(p_requests_total{NODE}[$__rate_interval]))`, "{{service}} {{operation}}")}},
		{"Failed requests by code", "The code of AWS, or none where no response came.", "reqps", 0, []query{q(`sum by (operation, code) (rate(p_requests_total{code!="ok",NODE}[$__rate_interval]))`, "{{operation}} {{code}}")}},
		{"Duration of requests, 99 %", "Without the wait for a slot.", "s", 0, []query{quantile(0.99, "p_request_duration_seconds", "NODE", "operation, region", "{{operation}} {{region}}")}},
		{"Wait for a slot, 99 %", "Requests wait when too many run at the same time.", "s", 0, []query{q(`histogram_quantile(0.99, sum by (le, mount) (rate(p_queue_wait_seconds_bucket{NODE}[$__rate_interval])))`, "{{mount}}")}},
		{"Credentials", "From the cache, or exchanged for a token.", "ops", 0, []query{q(`sum by (from, result) (rate(p_credentials_total{NODE}[$__rate_interval]))`, "{{from}} {{result}}")}},
		{"Events of pods", "With --events.", "ops", 0, []query{q(`sum by (result) (rate(p_events_total{NODE}[$__rate_interval]))`, "{{result}}")}},
	}},
	{"Memory", []panel{
		{"Memory of the process", "The ten largest. GOMEMLIMIT is five eighths of the container's limit.", "bytes", 0, []query{
			q(`topk(10, process_resident_memory_bytes{NODE} and on (job, instance) p_build_info)`, "{{node}}"),
			q(`min(go_gc_gomemlimit_bytes{NODE} < 1e15 and on (job, instance) p_build_info)`, "GOMEMLIMIT"),
		}},
		{"Memory of requests in progress", "The part of its limit, on the ten fullest nodes.", "percentunit", 0, []query{q(`topk(10, p_in_flight_bytes{NODE} / p_in_flight_limit_bytes)`, "{{node}}")}},
		{"Cache", "The part of its limit, on the ten fullest nodes.", "percentunit", 0, []query{q(`topk(10, p_cache_bytes{NODE} / p_cache_limit_bytes)`, "{{node}}")}},
		{"Values that left a full cache", "They are read again at the next refresh.", "ops", 0, []query{q(`sum(rate(p_cache_evictions_total{NODE}[$__rate_interval]))`, "evictions")}},
		{"Requests that wait for memory", "The ten nodes with the most.", "none", 0, []query{q(`topk(10, p_in_flight_waiting{NODE})`, "{{node}}")}},
		{"Versions", "Nodes by version of the provider.", "none", 0, []query{q(`count by (version) (p_build_info{NODE})`, "{{version}}")}},
	}},
}
