{{/* What says which identities there are and what is injected: the same for the webhook and for the audit, which has to judge as
     the webhook does. */}}
{{- define "pod-identity-webhook.injectionArgs" -}}
{{- $config := .Values.config }}
{{- $credentials := include "pod-identity-webhook.credentialsConfigMap" . -}}
- --annotation-prefix={{ $config.annotationPrefix }}
- --token-audience={{ $config.tokenAudience }}
- --token-expiration={{ $config.tokenExpiration | int64 }}
- --token-mount-path={{ $config.tokenMountPath }}
- --sts-regional-endpoint={{ $config.stsRegionalEndpoint }}
{{- with $config.defaultAwsRegion }}
- --aws-default-region={{ . }}
{{- end }}
- --region-with-env-from={{ $config.regionWithEnvFrom }}
- --role-session-name={{ $config.roleSessionName }}
- --invalid-role-arn={{ $config.invalidRoleArn }}
{{- with $config.rolePolicy }}
{{- if .enabled }}
- --role-policy=/etc/webhook/role-policy/{{ .key }}
- --role-not-allowed={{ .roleNotAllowed }}
{{- end }}
{{- end }}
{{- if $config.composeRoleArn.enabled }}
- --compose-role-arn=true
{{- with $config.composeRoleArn.accountId }}
- --aws-account-id={{ . }}
{{- end }}
{{- with $config.composeRoleArn.partition }}
- --aws-partition={{ . }}
{{- end }}
{{- end }}
{{- if $config.podIdentityWebhookMap.enabled }}
- --watch-config-map=true
{{- end }}
{{- if $credentials }}
- --watch-container-credentials-config=/etc/webhook/identities/{{ $config.containerCredentials.key }}
{{- end }}
{{- with $config.containerCredentials.fullUri }}
- --container-credentials-full-uri={{ . }}
{{- end }}
{{- end }}

{{/* Those of config.extraArgs that say the same: with their values, whether "=" or another argument stands between. */}}
{{- define "pod-identity-webhook.extraInjectionArgs" -}}
{{- $flags := list "annotation-prefix" "aws-account-id" "aws-default-region" "aws-partition" "compose-role-arn" "container-credentials-audience" "container-credentials-full-uri" "container-credentials-token-mount-path" "container-credentials-token-path" "container-credentials-token-volume-name" "invalid-role-arn" "region-with-env-from" "role-not-allowed" "role-policy" "role-session-name" "sts-regional-endpoint" "token-audience" "token-expiration" "token-mount-path" "watch-config-map" "watch-container-credentials-config" }}
{{- $taken := false }}
{{- $args := list }}
{{- range .Values.config.extraArgs }}
{{- if hasPrefix "-" . }}
{{- $taken = has (splitList "=" . | first | trimPrefix "--") $flags }}
{{- end }}
{{- if $taken }}{{- $args = append $args . }}{{- end }}
{{- end }}
{{- range $args }}
- {{ . | quote }}
{{- end }}
{{- end }}
