{{/* Labels of every object; its own name label is that of the installation by kustomize, too. */}}
{{- define "graceful-worker.labels" -}}
app.kubernetes.io/name: graceful-worker
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "graceful-worker.monitoringLabels" -}}
{{ include "graceful-worker.labels" . }}
{{- with .Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "graceful-worker.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}

{{- define "graceful-worker.replicas" -}}
{{ if .Values.highAvailability.enabled }}{{ max 3 .Values.replicas }}{{ else }}{{ .Values.replicas }}{{ end }}
{{- end }}

{{/* The namespaces of which no pod is sent to the webhook. */}}
{{- define "graceful-worker.namespacesLeftOut" -}}
{{ list "kube-system" .Release.Namespace | uniq | join ", " }}
{{- end }}

{{/* What follows from the values. Each is "true" or empty. */}}

{{/* The webhook keeps a CA of its own in the cluster. */}}
{{- define "graceful-worker.keepsCA" -}}
{{ if not .Values.certManager.enabled }}true{{ end }}
{{- end }}

{{/* A caller can prove to be the API server: by the path that goes with that CA, or by a certificate. docs/security.md */}}
{{- define "graceful-worker.knowsCallers" -}}
{{- $names := list }}
{{- range .Values.extraEnv }}{{ $names = append $names .name }}{{ end }}
{{- if or (include "graceful-worker.keepsCA" .) (has "GRACEFUL_WORKER_CLIENT_CA" $names) }}true{{ end }}
{{- end }}

{{- define "graceful-worker.asksRegistries" -}}
{{ if and .Values.registry.enabled (include "graceful-worker.knowsCallers" .) }}true{{ end }}
{{- end }}

{{- define "graceful-worker.guardsEvictions" -}}
{{ if and .Values.evictionGuard.enabled (include "graceful-worker.knowsCallers" .) }}true{{ end }}
{{- end }}

{{/* The webhook asks the API server, for more than the pods' Secrets: those have a policy of their own. */}}
{{- define "graceful-worker.asksAPIServer" -}}
{{ if or (include "graceful-worker.keepsCA" .) (include "graceful-worker.guardsEvictions" .) }}true{{ end }}
{{- end }}

{{- define "graceful-worker.needsQuota" -}}
{{ if and .Values.resourceQuota.enabled (has .Values.priorityClassName (list "system-cluster-critical" "system-node-critical")) }}true{{ end }}
{{- end }}

{{/*
The kinds of the cluster are known, and not only its groups: `helm template` knows no v1/Secret, unless it is told. Somebody may
pipe its output into `kubectl apply`, which takes a hook for an object like any other.
*/}}
{{- define "graceful-worker.knowsKinds" -}}
{{ if .Capabilities.APIVersions.Has "v1/Secret" }}true{{ end }}
{{- end }}

{{/*
Helm itself installs, and will uninstall: only then does `lookup` find anything. Argo CD renders by `helm template`, and its own
deletion hangs where a hook is to be made that is there already: https://github.com/argoproj/argo-cd/issues/18355
*/}}
{{- define "graceful-worker.isInstalledByHelm" -}}
{{ if lookup "v1" "Namespace" "" "default" }}true{{ end }}
{{- end }}
