{{/* What values.schema.json cannot say: values that do not go together. Each is one sentence. */}}
{{- define "pod-identity-webhook.checks" -}}
{{- $mode := include "pod-identity-webhook.certificates" . }}
{{- $pki := .Values.pki }}
{{- if and (eq $mode "existingSecret") (not $pki.existingSecret) }}
{{- fail "pki.existingSecret is missing: certificates.mode existingSecret needs the name of a Secret with tls.crt and tls.key" }}
{{- end }}
{{- if eq $mode "files" }}
{{- range $key := list "cert" "key" "caBundle" }}
{{- if not (get $pki $key) }}
{{- fail (printf "pki.%s is missing: certificates.mode files needs pki.cert, pki.key and pki.caBundle (PEM)" $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq $mode "cert-manager") $pki.certManager.existingIssuer.enabled (not $pki.certManager.existingIssuer.name) }}
{{- fail "pki.certManager.existingIssuer.name is missing: existingIssuer.enabled needs the name of the issuer" }}
{{- end }}
{{- if .Values.mutualTls.enabled }}
{{- $given := list }}
{{- range $key := list "caBundle" "existingConfigMap" "existingSecret" }}
{{- if get $.Values.mutualTls $key }}{{- $given = append $given (printf "mutualTls.%s" $key) }}{{- end }}
{{- end }}
{{- if ne (len $given) 1 }}
{{- fail (printf "mutualTls needs one of caBundle, existingConfigMap and existingSecret, and has %s" (join " and " $given | default "none")) }}
{{- end }}
{{- end }}
{{- with .Values.config.rolePolicy }}
{{- if and .rules (or (not .enabled) .existingConfigMap) }}
{{- fail (printf "config.rolePolicy.rules would not count: %s" (.enabled | ternary "existingConfigMap has the policy" "set config.rolePolicy.enabled")) }}
{{- end }}
{{- end }}
{{- $least := add .Values.config.shutdownDelaySeconds 30 | int }}
{{- if lt (int .Values.terminationGracePeriodSeconds) $least }}
{{- fail (printf "terminationGracePeriodSeconds %d is too short: give at least %d, config.shutdownDelaySeconds and 30 for what is in flight" (int .Values.terminationGracePeriodSeconds) $least) }}
{{- end }}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
{{- fail "autoscaling.minReplicas is greater than autoscaling.maxReplicas" }}
{{- end }}
{{- if eq (int .Values.config.ports.webhook) (int .Values.config.ports.metrics) }}
{{- fail "config.ports.webhook and config.ports.metrics have to differ" }}
{{- end }}
{{- if eq (int .Values.service.port) (int .Values.config.ports.metrics) }}
{{- fail "service.port and config.ports.metrics have to differ: one Service has both" }}
{{- end }}
{{- $composed := .Values.config.composeRoleArn }}
{{- if and .Values.audit.enabled $composed.enabled (not (and $composed.accountId $composed.partition)) }}
{{- fail "config.composeRoleArn needs accountId and partition with audit.enabled: the audit does not ask the instance metadata service" }}
{{- end }}
{{- end }}
