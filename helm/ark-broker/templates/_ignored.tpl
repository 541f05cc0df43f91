{{/* A line for each value of Ark's own chart that is given and does nothing here. */}}
{{- define "ark-broker.ignored" -}}
{{- $age := "the log is bounded by age: settings.retention" -}}
{{- $once := "the old files are not read; `ark-broker import` takes over what is in them" -}}
{{- $waits := "connections and statements are given up after ten seconds" -}}
{{- $reasons := dict
  "app.name" "fullnameOverride names the Service"
  "app.image" "image says which image runs"
  "app.nodeOptions" "there is no Node in the image"
  "backends.chunk" "chunks are in the log, with everything else"
  "database.connectTimeoutMs" $waits
  "database.statementTimeoutMs" $waits
  "database.debugQueries" "statements are not logged"
  "database.sessionsVisibilityTtlSeconds" "sessions stay as long as their events: settings.retention"
  "limits" $age
  "memory.maxItemAge" $age
  "memory.maxMemoryDb" $age
  "memory.maxMessageSize" "settings.maxBodyBytes and settings.maxLineBytes bound what comes in"
  "migrate.image" "the broker's image migrates"
  "otelEnvironmentVariableSecrets" "controllers find the broker by ark-config-broker"
  "persistence.memoryFileName" $once
  "persistence.streamFileName" $once
  "persistence.traceFileName" $once
  "persistence.eventFileName" $once
  "persistence.sessionsFileName" $once
  "redis" "chunks are in the log; no Redis is needed"
  "restartController.image" "the broker's image restarts the controllers"
  "server" "no request is cut off by its age"
-}}
{{- range $path, $reason := $reasons -}}
{{- $names := splitList "." $path -}}
{{- $group := get $.Values (first $names) -}}
{{- if kindIs "map" $group -}}
{{- if eq (len $names) 1 -}}
{{- with keys $group | sortAlpha }}
  {{ $path }} ({{ join ", " . }}): {{ $reason }}
{{- end -}}
{{- else if hasKey $group (last $names) -}}
{{- if ne (get $group (last $names) | toString) "memory" }}
  {{ $path }}: {{ $reason }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
