// The generator of the Grafana dashboard: its SDK is no part of the product.
module secrets-provider-aws/deployment/observability/dashboard

go 1.26.0

require github.com/grafana/grafana-foundation-sdk/go v0.0.22
