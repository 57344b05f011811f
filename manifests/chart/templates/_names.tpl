{{/* Names, labels, and which certificates: everything that several templates ask for. */}}

{{- define "pod-identity-webhook.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "pod-identity-webhook.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pod-identity-webhook.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "pod-identity-webhook.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "pod-identity-webhook.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "pod-identity-webhook.auditName" -}}
{{- printf "%s-audit" (include "pod-identity-webhook.fullname" .) }}
{{- end }}

{{- define "pod-identity-webhook.auditAccountName" -}}
{{- if .Values.audit.serviceAccount.create }}
{{- default (include "pod-identity-webhook.auditName" .) .Values.audit.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.audit.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* What the Pods of all components are known by. */}}
{{- define "pod-identity-webhook.instanceLabels" -}}
app.kubernetes.io/name: {{ include "pod-identity-webhook.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The labels by which the Pods are known; a Deployment cannot change them. */}}
{{- define "pod-identity-webhook.selectorLabels" -}}
{{ include "pod-identity-webhook.instanceLabels" . }}
app.kubernetes.io/component: webhook
{{- end }}

{{/* The same of the audit. */}}
{{- define "pod-identity-webhook.auditSelectorLabels" -}}
{{ include "pod-identity-webhook.instanceLabels" . }}
app.kubernetes.io/component: audit
{{- end }}

{{/* The labels that every component's objects share. Ours win where a person gives the same. */}}
{{- define "pod-identity-webhook.releaseLabels" -}}
{{- $chart := printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- $ours := dict "app.kubernetes.io/version" .Chart.AppVersion "app.kubernetes.io/managed-by" .Release.Service "helm.sh/chart" $chart }}
{{- toYaml (merge $ours .Values.commonLabels) }}
{{- end }}

{{/* The labels of every object of the webhook. */}}
{{- define "pod-identity-webhook.labels" -}}
{{- toYaml (merge (include "pod-identity-webhook.selectorLabels" . | fromYaml) (include "pod-identity-webhook.releaseLabels" . | fromYaml)) }}
{{- end }}

{{/* The labels of every object of the audit. */}}
{{- define "pod-identity-webhook.auditLabels" -}}
{{- toYaml (merge (include "pod-identity-webhook.auditSelectorLabels" . | fromYaml) (include "pod-identity-webhook.releaseLabels" . | fromYaml)) }}
{{- end }}

{{/* The labels of the webhook's objects and more: a list of the root and a map. */}}
{{- define "pod-identity-webhook.labelsAnd" -}}
{{- toYaml (merge (include "pod-identity-webhook.labels" (first .) | fromYaml) (last .)) }}
{{- end }}

{{/* The annotations by which a Prometheus finds a Service; empty if it is not meant to. */}}
{{- define "pod-identity-webhook.scrapeAnnotations" -}}
{{- if .Values.metrics.scrapeAnnotations -}}
prometheus.io/path: /metrics
prometheus.io/port: {{ .Values.config.ports.metrics | quote }}
prometheus.io/scheme: http
prometheus.io/scrape: "true"
{{- end }}
{{- end }}

{{- define "pod-identity-webhook.image" -}}
{{- $repository := .Values.image.repository }}
{{- with .Values.image.registry }}{{- $repository = printf "%s/%s" . $repository }}{{- end }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* One of self, cert-manager, existingSecret, files. */}}
{{- define "pod-identity-webhook.certificates" -}}
{{- if .Values.certificates.mode }}
{{- .Values.certificates.mode }}
{{- else if .Values.pki.certManager.enabled -}}
cert-manager
{{- else if .Values.pki.existingSecret -}}
existingSecret
{{- else if or .Values.pki.cert .Values.pki.key -}}
files
{{- else -}}
self
{{- end }}
{{- end }}

{{/* The Secret with tls.crt and tls.key; in mode self the one with the CA. */}}
{{- define "pod-identity-webhook.secretName" -}}
{{- $fullname := include "pod-identity-webhook.fullname" . }}
{{- $mode := include "pod-identity-webhook.certificates" . }}
{{- if eq $mode "cert-manager" }}
{{- printf "%s-tls" $fullname }}
{{- else if eq $mode "files" }}
{{- printf "%s-files" $fullname }}
{{- else if eq $mode "existingSecret" }}
{{- .Values.pki.existingSecret }}
{{- else }}
{{- $fullname }}
{{- end }}
{{- end }}

{{/* Who writes the caBundle: webhook, webhook-from-file, injector. Never the chart: what one release says of it, helm takes away
     with the next that does not, while replicas of before are still to be trusted. */}}
{{- define "pod-identity-webhook.caBundleBy" -}}
{{- $mode := include "pod-identity-webhook.certificates" . }}
{{- $annotations := .Values.mutatingWebhook.annotations | default dict }}
{{- if eq $mode "self" -}}
webhook
{{- else if or (eq $mode "cert-manager") (hasKey $annotations "cert-manager.io/inject-ca-from") (hasKey $annotations "cert-manager.io/inject-ca-from-secret") (hasKey $annotations "cert-manager.io/inject-apiserver-ca") -}}
injector
{{- else -}}
webhook-from-file
{{- end }}
{{- end }}

{{/* The ConfigMap with Pod Identity associations; empty if there is none. */}}
{{- define "pod-identity-webhook.credentialsConfigMap" -}}
{{- if .Values.config.containerCredentials.existingConfigMap }}
{{- .Values.config.containerCredentials.existingConfigMap }}
{{- else if .Values.config.containerCredentials.identities }}
{{- printf "%s-identities" (include "pod-identity-webhook.fullname" .) }}
{{- end }}
{{- end }}
