{{- define "ark-broker.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Not made from the release's name: two brokers in one namespace would contradict each other anyway. */}}
{{- define "ark-broker.fullname" -}}
{{- default (include "ark-broker.name" .) .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* The same as those of Ark's own chart: the selector of a Deployment cannot be changed by an upgrade. */}}
{{- define "ark-broker.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ark-broker.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "ark-broker.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: ark
{{- end }}

{{- define "ark-broker.labels" -}}
{{ include "ark-broker.selectorLabels" . }}
{{ include "ark-broker.commonLabels" . }}
{{- end }}

{{/* Labels of pods that run beside the broker and end: the Service must not select them. (list root name) */}}
{{- define "ark-broker.hookLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ printf "%s-%s" (include "ark-broker.name" $root) (index . 1) | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
{{- end }}

{{/* `annotations:` with the global ones and those given, or nothing. (list root annotations) */}}
{{- define "ark-broker.annotations" -}}
{{- $all := merge (dict) (index . 1 | default dict) ((index . 0).Values.global.annotations | default dict) -}}
{{- with $all -}}
annotations:
  {{- range $name, $value := . }}
  {{ $name }}: {{ $value | toString | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "ark-broker.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "ark-broker.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{- define "ark-broker.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Whole numbers as they were written: large ones come out of a values file as 2e+06. */}}
{{- define "ark-broker.scalar" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ int64 . }}
{{- else -}}
{{ toString . }}
{{- end -}}
{{- end }}
