{{- define "ark-broker.memoryName" -}}
{{ ternary "default" .Release.Name .Values.memory.setAsDefault }}
{{- end }}

{{/* "true" where a Memory of that name exists and is not this release's: Helm would refuse to take it over. */}}
{{- define "ark-broker.foreignMemory" -}}
{{- $api := "ark.mckinsey.com/v1alpha1" -}}
{{- if .Capabilities.APIVersions.Has $api -}}
{{- with lookup $api "Memory" .Release.Namespace (include "ark-broker.memoryName" .) -}}
{{- $owner := dig "metadata" "annotations" "meta.helm.sh/release-name" "" . -}}
{{- $namespace := dig "metadata" "annotations" "meta.helm.sh/release-namespace" "" . -}}
{{- $manager := dig "metadata" "labels" "app.kubernetes.io/managed-by" "" . -}}
{{- if or (ne $owner $.Release.Name) (ne $namespace $.Release.Namespace) (ne $manager "Helm") -}}true{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/*
"true" where a hook should restart the controllers. Not so where the cluster says that no Deployment is in their
namespace: it may not exist, and the hook's Role would have no place to be. Without a cluster nothing is known.
*/}}
{{- define "ark-broker.restarts" -}}
{{- if and .Values.ark.enabled .Values.restartController.enabled -}}
{{- $found := lookup "apps/v1" "Deployment" .Values.restartController.namespace "" -}}
{{- if or (not $found) $found.items -}}true{{- end -}}
{{- end -}}
{{- end }}
