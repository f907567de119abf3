{{- define "zdtest.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}{{- /* a CronJob's Jobs have 11 characters more */ -}}
{{- end }}

{{- define "zdtest.labels" -}}
app.kubernetes.io/name: zdtest
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "zdtest.claim" -}}
{{- with .Values.results.claim -}}
{{- .existing | default (ternary (printf "%s-results" (include "zdtest.name" $)) "" .create) -}}
{{- end -}}
{{- end }}

{{- define "zdtest.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
