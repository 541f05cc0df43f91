{{/* "true" with PostgreSQL, empty with SQLite. */}}
{{- define "ark-broker.postgres" -}}
{{- if or .Values.database.url .Values.database.urlSecretRef.name -}}true{{- end -}}
{{- end }}

{{/* "true" where the chart makes a Secret of the URL. */}}
{{- define "ark-broker.ownSecret" -}}
{{- if and .Values.database.url (not .Values.database.urlSecretRef.name) -}}true{{- end -}}
{{- end }}

{{/* A URL without what only Ark's own migration understood: the certificate is named by PGSSLROOTCERT. (list root url) */}}
{{- define "ark-broker.url" -}}
{{- $url := index . 1 -}}
{{- if (index . 0).Values.database.tls.enabled -}}
{{- $url = regexReplaceAll "sslrootcert=[^&]*&?" $url "" | trimSuffix "&" | trimSuffix "?" -}}
{{- end -}}
{{- $url -}}
{{- end }}

{{/* The Secret's content. */}}
{{- define "ark-broker.secretData" -}}
database-url: {{ include "ark-broker.url" (list . .Values.database.url) | quote }}
{{- with .Values.database.migrateUrl }}
migrate-database-url: {{ include "ark-broker.url" (list $ .) | quote }}
{{- end }}
{{- end }}

{{/* Environment of the connection. (list root secretName migrating) */}}
{{- define "ark-broker.databaseEnv" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $key := "database-url" -}}
{{- with $root.Values.database -}}
{{- if and (index $ 2) .migrateUrlSecretRef.name -}}
{{- $name = .migrateUrlSecretRef.name -}}
{{- $key = .migrateUrlSecretRef.key -}}
{{- else if .urlSecretRef.name -}}
{{- $name = .urlSecretRef.name -}}
{{- $key = .urlSecretRef.key -}}
{{- else if and (index $ 2) .migrateUrl -}}
{{- $key = "migrate-database-url" -}}
{{- end -}}
- name: ARK_BROKER_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ $name | quote }}
      key: {{ $key | quote }}
{{- if .tls.enabled }}
- name: PGSSLROOTCERT
  value: {{ printf "%s/ca.crt" .tls.mountPath | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The container that migrates. (list root secretName) */}}
{{- define "ark-broker.migrateContainer" -}}
{{- $root := index . 0 -}}
{{- with $root.Values -}}
- name: migrate
  image: {{ include "ark-broker.image" $root | quote }}
  imagePullPolicy: {{ .image.pullPolicy }}
  args: [migrate]
  env:
    {{- include "ark-broker.databaseEnv" (list $root (index $ 1) true) | nindent 4 }}
    {{- with .extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .migrate.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
    {{- if .database.tls.enabled }}
    - name: database-tls
      mountPath: {{ .database.tls.mountPath | quote }}
      readOnly: true
    {{- end }}
    {{- with .extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end }}

{{/* Volumes that the broker and its migration share. */}}
{{- define "ark-broker.sharedVolumes" -}}
- name: tmp
  emptyDir: {}
{{- if and (include "ark-broker.postgres" .) .Values.database.tls.enabled }}
- name: database-tls
  secret:
    secretName: {{ .Values.database.tls.secretName | quote }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
