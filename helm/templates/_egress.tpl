{{/* Where pods may go. Peers that are not given leave the port open to wherever it leads. */}}

{{- define "maywe.egressDns" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
  {{- with .Values.networkPolicy.dns }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "maywe.egressPostgresql" -}}
- ports:
    - port: {{ .Values.postgresql.port }}
      protocol: TCP
  {{- with .Values.postgresql.peers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "maywe.egressRedis" -}}
- ports:
    {{- range .Values.redis.ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .Values.redis.peers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* The control ports of decision servers, as ports of a rule. */}}
{{- define "maywe.controlPorts" -}}
- port: {{ include "maywe.controlPort" . }}
  {{- if gt (int .Values.decision.processes) 1 }}
  endPort: {{ include "maywe.controlPortLast" . }}
  {{- end }}
  protocol: TCP
{{- end -}}
