{{/* Names and labels, and the ports that the code listens on. */}}

{{- define "maywe.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* By which selectors find the pods of a component: never to be changed, as selectors are fixed. */}}
{{- define "maywe.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "maywe.labels" -}}
{{ include "maywe.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: maywe
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "maywe.serviceAccountName" -}}
{{- if .root.Values.serviceAccount.create -}}
{{- $name := default (include "maywe.fullname" .root) .root.Values.serviceAccount.name -}}
{{- /* The migration runs before anything of the release is there, so it brings its own. */ -}}
{{- eq .component "migration" | ternary (printf "%s-migration" $name) $name -}}
{{- else -}}
{{- default "default" .root.Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "maywe.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "maywe.clientPort" -}}7443{{- end -}}
{{- define "maywe.healthPort" -}}7442{{- end -}}
{{- define "maywe.metricsPort" -}}7441{{- end -}}
{{/* Of the first process; those of further ones follow it. */}}
{{- define "maywe.controlPort" -}}7444{{- end -}}
{{- define "maywe.controlPortLast" -}}
{{- sub (add (include "maywe.controlPort" . | int) (int .Values.decision.processes)) 1 -}}
{{- end -}}

{{- define "maywe.everywhere" -}}
{{- .Values.network.ipv6 | ternary "[::]" "0.0.0.0" -}}
{{- end -}}
{{- define "maywe.podAddress" -}}
{{- .Values.network.ipv6 | ternary "[$(POD_IP)]" "$(POD_IP)" -}}
{{- end -}}
