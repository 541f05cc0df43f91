{{/* Values that contradict each other end the command, all of them in one message. */}}
{{- define "ark-broker.checks" -}}
{{- $problems := list -}}
{{- $sqlite := not (include "ark-broker.postgres" .) -}}
{{- $remedy := "SQLite serves one broker only: set database.url or database.urlSecretRef.name" -}}
{{- with .Values -}}

{{- if and $sqlite (gt (int .replicaCount) 1) -}}
{{- $problems = append $problems (printf "replicaCount is %d. %s, or replicaCount to 1" (int .replicaCount) $remedy) -}}
{{- end -}}
{{- if and $sqlite .autoscaling.enabled -}}
{{- $problems = append $problems (printf "autoscaling.enabled is true. %s" $remedy) -}}
{{- end -}}
{{- if and $sqlite (gt (int .settings.workers) 1) -}}
{{- $problems = append $problems (printf "settings.workers is %d. %s" (int .settings.workers) $remedy) -}}
{{- end -}}
{{- range $name := list "message" "event" "sessions" -}}
{{- if and $sqlite (eq (get ($.Values.backends | default dict) $name | toString) "postgres") -}}
{{- $problems = append $problems (printf "backends.%s is postgres: set database.url or database.urlSecretRef.name" $name) -}}
{{- end -}}
{{- end -}}
{{- if and .database.tls.enabled (not .database.tls.secretName) -}}
{{- $problems = append $problems "database.tls.enabled is true: set database.tls.secretName" -}}
{{- end -}}
{{- if and .grpc.enabled (eq (int .grpc.port) (int .memory.port)) -}}
{{- $problems = append $problems (printf "grpc.port and memory.port are both %d" (int .grpc.port)) -}}
{{- end -}}
{{- if and .grpc.enabled (eq (int .grpc.port) (int .service.port)) -}}
{{- $problems = append $problems (printf "grpc.port and service.port are both %d" (int .grpc.port)) -}}
{{- end -}}
{{- range $own := include "ark-broker.env" $ | fromYamlArray -}}
{{- range $extra := $.Values.extraEnv -}}
{{- if eq $own.name $extra.name -}}
{{- $problems = append $problems (printf "extraEnv sets %s, and another value does: docs/helm.md" $own.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .prices .settings.prices -}}
{{- $problems = append $problems "prices and settings.prices are both set" -}}
{{- end -}}
{{- $problems = concat $problems (include "ark-broker.accessProblems" $ | fromJsonArray) -}}
{{- if and .ingress.enabled (not .ingress.hosts) -}}
{{- $problems = append $problems "ingress.enabled is true: set ingress.hosts" -}}
{{- end -}}
{{- if and .autoscaling.enabled (gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) -}}
{{- $problems = append $problems "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and .autoscaling.enabled (not (or .autoscaling.targetCPUUtilizationPercentage .autoscaling.targetMemoryUtilizationPercentage)) -}}
{{- $problems = append $problems "autoscaling.enabled is true: set autoscaling.targetCPUUtilizationPercentage or autoscaling.targetMemoryUtilizationPercentage" -}}
{{- end -}}
{{- with .podDisruptionBudget -}}
{{- if and .enabled (not (kindIs "invalid" .minAvailable)) (not (kindIs "invalid" .maxUnavailable)) -}}
{{- $problems = append $problems "podDisruptionBudget.minAvailable and podDisruptionBudget.maxUnavailable are both set" -}}
{{- end -}}
{{- end -}}
{{- $needed := add .preStopSeconds (include "ark-broker.shutdownSeconds" $ | int) -}}
{{- if le (include "ark-broker.gracePeriod" $ | int) (int $needed) -}}
{{- $problems = append $problems (printf "terminationGracePeriodSeconds is %s; it must be more than preStopSeconds + settings.shutdownSeconds, which is %d" (include "ark-broker.gracePeriod" $) $needed) -}}
{{- end -}}
{{- end -}}

{{- /* A release of Ark's own chart may have other names. To change them would delete its volume. */ -}}
{{- if .Release.IsUpgrade -}}
{{- $name := include "ark-broker.fullname" . -}}
{{- $old := printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- $old = .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- if and (ne $old $name) (lookup "apps/v1" "Deployment" .Release.Namespace $old) (not (lookup "apps/v1" "Deployment" .Release.Namespace $name)) -}}
{{- $problems = append $problems (printf "this release's objects are named %s: set fullnameOverride to %s" $old $old) -}}
{{- end -}}
{{- end -}}

{{- if $problems -}}
{{- fail (printf "\nark-broker: %s" (join "\nark-broker: " $problems)) -}}
{{- end -}}
{{- end }}
