{{/* What every pod has: who it runs as, where secrets are, and how settings come to it. */}}

{{- define "maywe.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "maywe.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop:
    - ALL
{{- end -}}

{{/* Settings that are the same everywhere: where the stores are, and what the operator set. */}}
{{- define "maywe.storeEnvironment" -}}
- name: MAYWE_POSTGRES_URL_FILE
  value: /run/maywe/postgresql/url
- name: MAYWE_REDIS_URL_FILE
  value: /run/maywe/redis/url
- name: HOME
  value: /tmp
{{- end -}}

{{/*
Credentials of servers: .access for those whom clients call, .control for those that tell each other
of narrowings. The files are read again when a secret changes.
*/}}
{{- define "maywe.credentialEnvironment" -}}
{{- if .control }}
- name: MAYWE_CONTROL_CERTIFICATE_FILE
  value: /run/maywe/control/tls.crt
- name: MAYWE_CONTROL_KEY_FILE
  value: /run/maywe/control/tls.key
- name: MAYWE_CONTROL_CA_FILE
  value: /run/maywe/control/ca.crt
{{- end }}
{{- if .access }}
{{- $access := .root.Values.access }}
- name: MAYWE_TLS_CERTIFICATE_FILE
  value: /run/maywe/certificate/tls.crt
- name: MAYWE_TLS_KEY_FILE
  value: /run/maywe/certificate/tls.key
{{- if $access.clientCaSecret.name }}
- name: MAYWE_TLS_CLIENT_CA_FILE
  value: /run/maywe/client-ca/ca.crt
{{- end }}
{{- if $access.callersSecret.name }}
- name: MAYWE_CALLERS_FILE
  value: /run/maywe/callers/callers.yaml
{{- end }}
{{- if or $access.tokens.keysUrl $access.tokens.keysSecret.name }}
- name: MAYWE_TOKEN_KEYS
  value: {{ default "/run/maywe/token-keys/keys.json" $access.tokens.keysUrl | quote }}
- name: MAYWE_TOKEN_ISSUER
  value: {{ $access.tokens.issuer | quote }}
- name: MAYWE_TOKEN_AUDIENCE
  value: {{ $access.tokens.audience | quote }}
{{- end }}
{{- if and .root.Values.receipts.keysSecret.name (eq .component "decision") }}
- name: MAYWE_RECEIPT_KEYS_FILE
  value: /run/maywe/receipt-keys/keys.pem
{{- end }}
{{- range $name, $value := $access.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The files of those credentials: the name of each volume, its secret, and key by file in it. */}}
{{- define "maywe.credentialFiles" -}}
{{- $files := dict -}}
{{- $values := .root.Values -}}
{{- if .control -}}
{{- $secret := $values.control.certificateSecret -}}
{{- $_ := set $files "control" (dict "secret" $secret.name "items" (dict "tls.crt" $secret.certificateKey "tls.key" $secret.keyKey "ca.crt" $secret.caKey)) -}}
{{- end -}}
{{- if .access -}}
{{- $access := $values.access -}}
{{- $secret := $access.certificateSecret -}}
{{- $_ := set $files "certificate" (dict "secret" $secret.name "items" (dict "tls.crt" $secret.certificateKey "tls.key" $secret.keyKey)) -}}
{{- if $access.clientCaSecret.name -}}
{{- $_ := set $files "client-ca" (dict "secret" $access.clientCaSecret.name "items" (dict "ca.crt" $access.clientCaSecret.key)) -}}
{{- end -}}
{{- if $access.callersSecret.name -}}
{{- $_ := set $files "callers" (dict "secret" $access.callersSecret.name "items" (dict "callers.yaml" $access.callersSecret.key)) -}}
{{- end -}}
{{- if and $access.tokens.keysSecret.name (not $access.tokens.keysUrl) -}}
{{- $_ := set $files "token-keys" (dict "secret" $access.tokens.keysSecret.name "items" (dict "keys.json" $access.tokens.keysSecret.key)) -}}
{{- end -}}
{{- if and $values.receipts.keysSecret.name (eq .component "decision") -}}
{{- $_ := set $files "receipt-keys" (dict "secret" $values.receipts.keysSecret.name "items" (dict "keys.pem" $values.receipts.keysSecret.key)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $files -}}
{{- end -}}

{{- define "maywe.credentialVolumes" -}}
{{- range $name, $volume := include "maywe.credentialFiles" . | fromYaml }}
- name: {{ $name }}
  secret:
    secretName: {{ $volume.secret | quote }}
    defaultMode: 0440
    items:
      {{- range $file, $key := $volume.items }}
      - key: {{ $key | quote }}
        path: {{ $file }}
      {{- end }}
{{- end }}
{{- end -}}

{{- define "maywe.credentialMounts" -}}
{{- range $name, $_ := include "maywe.credentialFiles" . | fromYaml }}
- name: {{ $name }}
  mountPath: /run/maywe/{{ $name }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "maywe.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- range $name, $store := dict "postgresql" .Values.postgresql "redis" .Values.redis }}
- name: {{ $name }}-url
  secret:
    secretName: {{ $store.urlSecret.name | quote }}
    defaultMode: 0440
    items:
      - key: {{ $store.urlSecret.key | quote }}
        path: url
{{- if $store.caSecret.name }}
- name: {{ $name }}-ca
  secret:
    secretName: {{ $store.caSecret.name | quote }}
    defaultMode: 0440
    items:
      - key: {{ $store.caSecret.key | quote }}
        path: ca.crt
{{- end }}
{{- end }}
{{- end -}}

{{- define "maywe.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- range $name, $store := dict "postgresql" .Values.postgresql "redis" .Values.redis }}
- name: {{ $name }}-url
  mountPath: /run/maywe/{{ $name }}
  readOnly: true
{{- if $store.caSecret.name }}
- name: {{ $name }}-ca
  mountPath: /run/maywe/{{ $name }}-ca
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}
