{{- define "secrets-provider-aws.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* The release's name if it contains the chart's name, as in most charts. */}}
{{- define "secrets-provider-aws.fullname" -}}
{{- $name := include "secrets-provider-aws.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "secrets-provider-aws.serviceAccountName" -}}
{{- default (include "secrets-provider-aws.fullname" .) .Values.rbac.serviceAccountName }}
{{- end }}

{{- /* A DaemonSet's selector cannot change: do not add labels here. */}}
{{- define "secrets-provider-aws.selectorLabels" -}}
app.kubernetes.io/name: {{ include "secrets-provider-aws.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* The chart's labels override the user's, because the selectors need them. */}}
{{- define "secrets-provider-aws.labels" -}}
{{- $own := include "secrets-provider-aws.selectorLabels" . | fromYaml }}
{{- $version := .Chart.AppVersion | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- $_ := set $own "app.kubernetes.io/version" $version }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- toYaml (merge $own (.Values.commonLabels | default dict)) }}
{{- end }}

{{- /* Labels and annotations of an object, after its name. */}}
{{- define "secrets-provider-aws.metadata" -}}
labels:
  {{- include "secrets-provider-aws.labels" . | nindent 2 }}
{{- with .Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "secrets-provider-aws.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag | toString | replace "+" "_" }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository $tag }}
{{- end }}
{{- end }}

{{- /* GOMEMLIMIT: five eighths of the memory limit, in whole MiB. Empty if there is no limit, or one in an unusual unit. */}}
{{- define "secrets-provider-aws.goMemoryLimit" -}}
{{- $limit := dig "limits" "memory" "" (.Values.resources | default dict) | toString }}
{{- if regexMatch "^[0-9.]+(e\\+?[0-9]+|k|M|G|Ki|Mi|Gi)?$" $limit }}
{{- $units := dict "k" 1e3 "M" 1e6 "G" 1e9 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 }}
{{- $unit := regexFind "(k|M|G|Ki|Mi|Gi)$" $limit }}
{{- $bytes := mulf (trimSuffix $unit $limit | float64) (get $units $unit | default 1) }}
{{- $mebibytes := divf $bytes 1677721.6 | floor | int64 }}
{{- if gt $mebibytes 0 }}{{ $mebibytes }}MiB{{ end }}
{{- end }}
{{- end }}

{{- /* The container's environment as a list. extraEnv replaces entries: server-side apply refuses duplicate names. */}}
{{- define "secrets-provider-aws.env" -}}
{{- $given := dict }}
{{- range .Values.extraEnv }}{{ $_ := set $given .name true }}{{ end }}
{{- $env := list (dict "name" "NODE_NAME" "valueFrom" (dict "fieldRef" (dict "fieldPath" "spec.nodeName"))) }}
{{- with include "secrets-provider-aws.goMemoryLimit" . }}
{{- $env = append $env (dict "name" "GOMEMLIMIT" "value" .) }}
{{- end }}
{{- with .Values.awsRegion }}
{{- $env = append $env (dict "name" "AWS_REGION" "value" .) }}
{{- end }}
{{- if .Values.useFipsEndpoint }}
{{- $env = append $env (dict "name" "AWS_USE_FIPS_ENDPOINT" "value" "true") }}
{{- end }}
{{- with .Values.tracing.endpoint }}
{{- $env = append $env (dict "name" "OTEL_EXPORTER_OTLP_ENDPOINT" "value" .) }}
{{- end }}
{{- $all := list }}
{{- range $env }}{{ if not (hasKey $given .name) }}{{ $all = append $all . }}{{ end }}{{ end }}
{{- toYaml (concat $all (.Values.extraEnv | default list)) }}
{{- end }}

{{- /* "true" if the region is known without reading the node. */}}
{{- define "secrets-provider-aws.regionSet" -}}
{{- $set := not (empty .Values.awsRegion) }}
{{- range .Values.extraEnv }}{{ if eq .name "AWS_REGION" }}{{ $set = true }}{{ end }}{{ end }}
{{- if $set }}true{{ end }}
{{- end }}

{{- /*
The rolling update with both of its numbers. If one is missing, it is the one that Kubernetes accepts with the other:
values of AWS's chart have maxUnavailable alone, which here must not meet a maxSurge.
*/}}
{{- define "secrets-provider-aws.rollingUpdate" -}}
{{- $given := .Values.updateStrategy.rollingUpdate | default dict }}
{{- $none := list "0" "0%" }}
{{- $surge := get $given "maxSurge" | toString }}
{{- $unavailable := get $given "maxUnavailable" | toString }}
{{- if and .Values.hostNetwork (not $surge) (not $unavailable) }}
{{- $given = dict "maxSurge" 0 "maxUnavailable" 1 }}{{- /* two pods cannot have one port of the node */}}
{{- else if and (not $surge) (or (not $unavailable) (has $unavailable $none)) }}
{{- $given = dict "maxSurge" 1 "maxUnavailable" 0 }}
{{- else if not $surge }}
{{- $given = dict "maxSurge" 0 "maxUnavailable" $given.maxUnavailable }}
{{- else if not $unavailable }}
{{- $given = dict "maxSurge" $given.maxSurge "maxUnavailable" (ternary 1 0 (has $surge $none)) }}
{{- end }}
{{- toYaml $given }}
{{- end }}

{{- /* Name of the driver's DaemonSet, as the driver's chart makes it. */}}
{{- define "secrets-provider-aws.driverName" -}}
{{- $values := index .Values "secrets-store-csi-driver" }}
{{- $name := default "secrets-store-csi-driver" $values.nameOverride }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full $values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /*
Faults of an upgrade that the cluster's DaemonSets show, one per line: the driver would be deleted and created under another
name, or the provider would need another selector.
*/}}
{{- define "secrets-provider-aws.renames" -}}
{{- $driver := include "secrets-provider-aws.driverName" . }}
{{- $provider := include "secrets-provider-aws.fullname" . }}
{{- $selector := include "secrets-provider-aws.selectorLabels" . | fromYaml }}
{{- if and .Values.checkDriver .Release.IsUpgrade }}
{{- range (dig "items" list (lookup "apps/v1" "DaemonSet" .Release.Namespace "")) }}
{{- $name := .metadata.name }}
{{- if eq (dig "annotations" "meta.helm.sh/release-name" "" .metadata) $.Release.Name }}
{{- if and (index $.Values "secrets-store-csi-driver" "install") (ne $name $driver) (ne $name (print $driver "-windows")) }}
{{- range .spec.template.spec.containers }}
{{- if eq .name "secrets-store" }}
release {{ $.Release.Name }} has the CSI driver as DaemonSet {{ $name }}, and this upgrade would delete it and create {{ $driver }}, so that for a while no pod could mount: set secrets-store-csi-driver.fullnameOverride={{ $name }}, or checkDriver=false to rename it on purpose
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq $name $provider) (ne (toJson .spec.selector.matchLabels) (toJson $selector)) }}
DaemonSet {{ $name }} has the selector {{ toJson .spec.selector.matchLabels }}, which cannot change: remove fullnameOverride and nameOverride, or set other names
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Checks that the schema cannot do, or not with a helpful message. Reports all faults at once. */}}
{{- define "secrets-provider-aws.check" -}}
{{- $faults := list }}
{{- if and (not .Values.rbac.readNodes) (not (include "secrets-provider-aws.regionSet" .)) }}
{{- $faults = append $faults "rbac.readNodes is false, so the region cannot be read from the node: set awsRegion" }}
{{- end }}
{{- if contains "secrets-store-csi-driver-provider-aws" .Values.image.repository }}
{{- $faults = append $faults (printf "image.repository %s is AWS's own provider: remove image.repository and image.tag, or set them to your copy of this provider" .Values.image.repository) }}
{{- end }}
{{- if .Values.image.registry }}
{{- $faults = append $faults (printf "image.registry is not a value of this chart: set image.repository to %s/..." .Values.image.registry) }}
{{- end }}
{{- if and (kindIs "bool" .Values.driverWritesSecrets) (not .Values.driverWritesSecrets) }}
{{- $faults = append $faults "driverWritesSecrets=false is not supported: the CSI driver always writes the files, remove the value" }}
{{- end }}
{{- if .Values.rbac.pspEnabled }}
{{- $faults = append $faults "rbac.pspEnabled is obsolete: Kubernetes has no PodSecurityPolicy since 1.25, remove the value" }}
{{- end }}
{{- range list "tokenRequests" "enableSecretRotation" "rotationPollInterval" "syncSecret" }}
{{- if hasKey $.Values . }}
{{- $faults = append $faults (printf "%s is a value of the CSI driver: set it in the driver's own release, or as secrets-store-csi-driver.%s if this release installs the driver" . .) }}
{{- end }}
{{- end }}
{{- if and .Values.checkDriver .Release.IsUpgrade (not (index .Values "secrets-store-csi-driver" "install")) }}
{{- range (dig "items" list (lookup "storage.k8s.io/v1" "CSIDriver" "" "")) }}
{{- $annotations := .metadata.annotations | default dict }}
{{- if and (eq .metadata.name "secrets-store.csi.k8s.io") (eq (get $annotations "meta.helm.sh/release-name") $.Release.Name) (eq (get $annotations "meta.helm.sh/release-namespace") $.Release.Namespace) }}
{{- $faults = append $faults (printf "release %s installed the Secrets Store CSI driver, and this upgrade would remove it, so that no pod could mount: set secrets-store-csi-driver.install=true, or checkDriver=false to remove it on purpose" $.Release.Name) }}
{{- end }}
{{- end }}
{{- end }}
{{- range splitList "\n" (include "secrets-provider-aws.renames" .) }}
{{- with trim . }}{{ $faults = append $faults . }}{{ end }}
{{- end }}
{{- $rolling := include "secrets-provider-aws.rollingUpdate" . | fromYaml }}
{{- $none := list "0" "0%" }}
{{- $surge := get $rolling "maxSurge" | toString }}
{{- $unavailable := get $rolling "maxUnavailable" | toString }}
{{- if eq .Values.updateStrategy.type "RollingUpdate" }}
{{- if and .Values.hostNetwork (not (has $surge $none)) }}
{{- $faults = append $faults (printf "updateStrategy.rollingUpdate.maxSurge (%s) is not possible with hostNetwork, because two pods cannot have one port of the node: set maxUnavailable instead" $surge) }}
{{- end }}
{{- if and (has $surge $none) (has $unavailable $none) }}
{{- $faults = append $faults "updateStrategy.rollingUpdate: maxSurge and maxUnavailable are both 0, so no pod could ever be replaced: set one of them" }}
{{- else if not (or (has $surge $none) (has $unavailable $none)) }}
{{- $faults = append $faults (printf "updateStrategy.rollingUpdate: Kubernetes accepts maxSurge (%s) or maxUnavailable (%s), not both: set one of them to 0" $surge $unavailable) }}
{{- end }}
{{- end }}
{{- if $faults }}
{{- fail (printf "\n  - %s\n" (join "\n  - " $faults)) }}
{{- end }}
{{- end }}
