{{/* "true" where requests need a token. */}}
{{- define "ark-broker.auth" -}}
{{- if or .Values.auth.enabled (eq (toString .Values.settings.auth) "true") -}}true{{- end -}}
{{- end }}

{{/* ARK_BROKER_OIDC_CLAIMS: JSON, or nothing. */}}
{{- define "ark-broker.oidcClaims" -}}
{{- with .Values.auth.oidc.claims -}}
{{- toJson . -}}
{{- end -}}
{{- end }}

{{/* ARK_BROKER_KUBERNETES_TOKENS: permissions as words, or JSON where single accounts are named, or nothing. */}}
{{- define "ark-broker.kubernetesTokens" -}}
{{- with .Values.auth.kubernetes -}}
{{- if .accounts -}}
{{- dict "permissions" .permissions "accounts" .accounts | toJson -}}
{{- else if .permissions -}}
{{- join "," .permissions -}}
{{- else -}}
{{- default "" $.Values.settings.kubernetesTokens -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* "true" where the broker asks the API server whose a service account's token is. */}}
{{- define "ark-broker.reviews" -}}
{{- if and (include "ark-broker.auth" .) (include "ark-broker.kubernetesTokens" .) -}}true{{- end -}}
{{- end }}

{{/* "true" where the chart makes up a token that may do everything. */}}
{{- define "ark-broker.ownAdminToken" -}}
{{- if and (include "ark-broker.auth" .) (not .Values.auth.adminToken.existingSecret) (not .Values.settings.adminToken) -}}
true
{{- end -}}
{{- end }}

{{/* What is wrong with the values above, as a JSON list of messages. */}}
{{- define "ark-broker.accessProblems" -}}
{{- $problems := list -}}
{{- $auth := include "ark-broker.auth" . -}}
{{- with .Values -}}
{{- $twice := list
  (list "auth.adminToken.existingSecret" .auth.adminToken.existingSecret "adminToken")
  (list "auth.oidc.issuer" .auth.oidc.issuer "oidcIssuer")
  (list "auth.oidc.audience" .auth.oidc.audience "oidcAudience")
  (list "auth.oidc.jwksUrl" .auth.oidc.jwksUrl "oidcJwksUrl")
  (list "auth.oidc.claims" .auth.oidc.claims "oidcClaims")
  (list "auth.kubernetes.permissions" .auth.kubernetes.permissions "kubernetesTokens")
  (list "auth.kubernetes.accounts" .auth.kubernetes.accounts "kubernetesTokens")
  (list "auth.kubernetes.audience" .auth.kubernetes.audience "kubernetesAudience")
  (list "redact" (or (kindIs "map" .redact) .redact) "redact")
  (list "upstreams.value" .upstreams.value "upstreams")
  (list "upstreams.existingSecret" .upstreams.existingSecret "upstreams")
  (list "webhooks.value" .webhooks.value "webhooks")
  (list "webhooks.existingSecret" .webhooks.existingSecret "webhooks")
  (list "deliverTo" .deliverTo "deliverTo")
  (list "publicUrl" .publicUrl "publicUrl")
-}}
{{- range $twice -}}
{{- if and (index . 1) (get $.Values.settings (index . 2)) -}}
{{- $problems = append $problems (printf "%s and settings.%s are both set" (index . 0) (index . 2)) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "upstreams" "webhooks" -}}
{{- with get $.Values $name -}}
{{- if and .value .existingSecret -}}
{{- $problems = append $problems (printf "%s.value and %s.existingSecret are both set" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .auth.enabled (eq (toString .settings.auth) "false") -}}
{{- $problems = append $problems "auth.enabled is true and settings.auth is false" -}}
{{- end -}}
{{- range .extraEnv -}}
{{- if and (eq .name "ARK_BROKER_AUTH") (not $auth) -}}
{{- $problems = append $problems "extraEnv sets ARK_BROKER_AUTH: set auth.enabled" -}}
{{- end -}}
{{- end -}}
{{- if not $auth -}}
{{- if eq (toString .settings.allowOpen) "false" -}}
{{- $problems = append $problems "settings.allowOpen is false, so the broker would not start: set auth.enabled" -}}
{{- end -}}
{{- if or .auth.adminToken.existingSecret .settings.adminToken .auth.oidc.issuer .settings.oidcIssuer (include "ark-broker.kubernetesTokens" $) -}}
{{- $problems = append $problems "it is said whose tokens are taken, and none is asked for: set auth.enabled" -}}
{{- end -}}
{{- end -}}
{{- if ne (empty (or .auth.oidc.issuer .settings.oidcIssuer)) (empty (or .auth.oidc.audience .settings.oidcAudience)) -}}
{{- $problems = append $problems "auth.oidc.issuer and auth.oidc.audience go together" -}}
{{- end -}}
{{- if and (include "ark-broker.reviews" $) (eq (include "ark-broker.serviceAccountName" $) "default") -}}
{{- $problems = append $problems "auth.kubernetes takes a service account of the broker's own, for every pod may be using `default`: set serviceAccount.name" -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end }}

{{/* Environment that says who may do what, without the secrets. */}}
{{- define "ark-broker.accessEnv" -}}
{{- $oidc := .Values.auth.oidc -}}
{{- if include "ark-broker.auth" . -}}
- name: ARK_BROKER_AUTH
  value: "true"
{{- end }}
{{- if or (not (include "ark-broker.auth" .)) (eq (toString .Values.settings.allowOpen) "true") }}
# Without it, and without authentication, the broker would not listen on the pod's address.
- name: ARK_BROKER_ALLOW_OPEN
  value: "true"
{{- end }}
{{- $own := dict "OIDC_ISSUER" $oidc.issuer "OIDC_AUDIENCE" $oidc.audience "OIDC_JWKS_URL" $oidc.jwksUrl "OIDC_CLAIMS" (include "ark-broker.oidcClaims" .) "KUBERNETES_AUDIENCE" .Values.auth.kubernetes.audience }}
{{- if not .Values.settings.kubernetesTokens }}
{{- $_ := set $own "KUBERNETES_TOKENS" (include "ark-broker.kubernetesTokens" .) }}
{{- end }}
{{- range $name, $value := $own }}
{{- if $value }}
- name: ARK_BROKER_{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The service account's token, in the broker's container alone: Kubernetes would put it into the migration's too. */}}
{{- define "ark-broker.reviewerVolume" -}}
- name: service-account
  projected:
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3600
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
{{- end }}
