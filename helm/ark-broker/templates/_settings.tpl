{{/* ARK_BROKER_RETENTION: the setting, or else the ages that Ark's own chart gave to a database. */}}
{{- define "ark-broker.retention" -}}
{{- if .Values.settings.retention -}}
{{ .Values.settings.retention }}
{{- else if include "ark-broker.postgres" . -}}
{{- $ages := list -}}
{{- range $value, $kind := dict "messageVisibilityTtlSeconds" "message" "eventVisibilityTtlSeconds" "event" -}}
{{- with index $.Values.database $value -}}
{{- $ages = append $ages (printf "%s=%ss" $kind (include "ark-broker.scalar" .)) -}}
{{- end -}}
{{- end -}}
{{ join "," ($ages | sortAlpha) }}
{{- end -}}
{{- end }}

{{- define "ark-broker.shutdownSeconds" -}}
{{- $given := .Values.settings.shutdownSeconds -}}
{{- if or (kindIs "invalid" $given) (eq (toString $given) "") -}}10{{- else -}}{{ ceil $given | int }}{{- end -}}
{{- end }}

{{/* Long enough for the pause before the end, and for the end. */}}
{{- define "ark-broker.gracePeriod" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{ add .Values.preStopSeconds (include "ark-broker.shutdownSeconds" . | int) 15 }}
{{- else -}}
{{ int .Values.terminationGracePeriodSeconds }}
{{- end -}}
{{- end }}

{{/* Environment of the broker, as the chart makes it. */}}
{{- define "ark-broker.env" -}}
- name: ARK_BROKER_PORT
  value: {{ int .Values.memory.port | quote }}
- name: ARK_BROKER_GRPC_PORT
  value: {{ ternary .Values.grpc.port 0 .Values.grpc.enabled | int | quote }}
- name: ARK_BROKER_DATA_DIR
  value: {{ .Values.persistence.mountPath | quote }}
{{- if include "ark-broker.postgres" . }}
{{ include "ark-broker.databaseEnv" (list . (printf "%s-database" (include "ark-broker.fullname" .)) false) }}
- name: ARK_BROKER_DATABASE_POOL_SIZE
  value: {{ int .Values.database.poolMax | quote }}
{{- end }}
{{- with include "ark-broker.retention" . }}
- name: ARK_BROKER_RETENTION
  value: {{ . | quote }}
{{- end }}
{{- if .Values.prices }}
- name: ARK_BROKER_PRICES
  value: /etc/ark-broker/prices.json
{{- end }}
{{- if kindIs "map" .Values.redact }}
- name: ARK_BROKER_REDACT
  value: /etc/ark-broker-redaction/rules.json
{{- else if eq (toString .Values.redact) "bundled" }}
- name: ARK_BROKER_REDACT
  value: bundled
{{- end }}
{{- with .Values.publicUrl }}
- name: ARK_BROKER_PUBLIC_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.deliverTo }}
- name: ARK_BROKER_DELIVER_TO
  value: {{ join "," . | quote }}
{{- end }}
{{ include "ark-broker.accessEnv" . }}
{{- include "ark-broker.secretEnv" . }}
{{- /* Those that are secret, and what says whether tokens are needed, come from above. */ -}}
{{- $plain := omit .Values.settings "retention" "auth" "allowOpen" }}
{{- range include "ark-broker.secretSettings" . | fromYaml }}
{{- $plain = omit $plain . }}
{{- end }}
{{- range $name, $value := $plain }}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) }}
- name: ARK_BROKER_{{ $name | snakecase | upper }}
  value: {{ include "ark-broker.scalar" $value | quote }}
{{- end }}
{{- end }}
{{- end }}
