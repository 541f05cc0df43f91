{{/* The settings that are secret, by the key in the chart's own Secret. The last two have keys in their URLs. */}}
{{- define "ark-broker.secretSettings" -}}
a2a-token: a2aToken
admin-token: adminToken
upstreams: upstreams
webhooks: webhooks
{{- end }}

{{/* What is given in the values of those, and becomes the chart's own Secret. */}}
{{- define "ark-broker.secretTexts" -}}
{{- $given := dict "upstreams" .Values.upstreams.value "webhooks" .Values.webhooks.value -}}
{{- range $key, $setting := include "ark-broker.secretSettings" . | fromYaml -}}
{{- with default (get $.Values.settings $setting) (get $given $key) }}
{{ $key }}: {{ kindIs "string" . | ternary . (toJson .) | quote }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Where each of those is: the operator's Secret, the chart's, or the one with the token that it made up. */}}
{{- define "ark-broker.secretRefs" -}}
{{- $given := dict "admin-token" .Values.auth.adminToken "upstreams" .Values.upstreams "webhooks" .Values.webhooks -}}
{{- $own := include "ark-broker.secretTexts" . | fromYaml -}}
{{- $fullname := include "ark-broker.fullname" . -}}
{{- $refs := dict -}}
{{- range $key, $_ := include "ark-broker.secretSettings" . | fromYaml -}}
{{- $from := get $given $key | default dict -}}
{{- if $from.existingSecret -}}
{{- $_ := set $refs $key (dict "name" $from.existingSecret "key" $from.key) -}}
{{- else if hasKey $own $key -}}
{{- $_ := set $refs $key (dict "name" (printf "%s-settings" $fullname) "key" $key) -}}
{{- else if and (eq $key "admin-token") (include "ark-broker.ownAdminToken" $) -}}
{{- $_ := set $refs $key (dict "name" (printf "%s-admin-token" $fullname) "key" $from.key) -}}
{{- end -}}
{{- end -}}
{{- toYaml $refs -}}
{{- end }}

{{/* Environment of those. */}}
{{- define "ark-broker.secretEnv" -}}
{{- range $key, $ref := include "ark-broker.secretRefs" . | fromYaml }}
- name: ARK_BROKER_{{ $key | replace "-" "_" | upper }}
  valueFrom:
    secretKeyRef:
      name: {{ $ref.name | quote }}
      key: {{ $ref.key | quote }}
{{- end }}
{{- end }}
