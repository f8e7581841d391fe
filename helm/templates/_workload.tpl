{{/*
A Deployment of one component; .environment and .ports are what it has beside the others, .access and
.control whether it has credentials for clients and for the installation's own processes.
*/}}

{{/*
The longest a server takes to end: its drain and its grace, then ten seconds for processes of its own
and ten more for those that have to be killed, and some for leaving.
*/}}
{{- define "maywe.terminationSeconds" -}}
{{- add (int .Values.shutdown.drainSeconds) (int .Values.shutdown.graceSeconds) 30 -}}
{{- end -}}

{{- define "maywe.deployment" -}}
{{- $root := .root -}}
{{- $component := .component -}}
{{- $values := .values -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "maywe.fullname" $root }}-{{ $component }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "maywe.labels" . | nindent 4 }}
spec:
  {{- if $root.Values.stopped }}
  replicas: 0
  {{- else if not (dig "autoscaling" "enabled" false $values) }}
  replicas: {{ $values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    type: RollingUpdate
    rollingUpdate:
      # A new one first: none of those that answer is missed.
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      {{- include "maywe.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- include "maywe.labels" . | nindent 8 }}
      annotations:
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- if and $root.Values.metrics.enabled $root.Values.metrics.annotations }}
        prometheus.io/scrape: "true"
        prometheus.io/port: {{ include "maywe.metricsPort" $root | quote }}
        prometheus.io/path: /metrics
        {{- end }}
        kubectl.kubernetes.io/default-container: maywe
        # Settings are read at the start, so other ones need other pods.
        checksum/settings: {{ include "maywe.settings" $root | sha256sum }}
    spec:
      serviceAccountName: {{ include "maywe.serviceAccountName" . }}
      {{- include "maywe.podSecurity" . | nindent 6 }}
      # The first process is then Kubernetes' own, which buries what processes that died left behind.
      shareProcessNamespace: true
      terminationGracePeriodSeconds: {{ include "maywe.terminationSeconds" $root }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        {{- $context := . }}
        {{- range $key, $unsatisfiable := dict "topology.kubernetes.io/zone" $values.spread.zones "kubernetes.io/hostname" $values.spread.nodes }}
        - maxSkew: 1
          topologyKey: {{ $key }}
          whenUnsatisfiable: {{ $unsatisfiable }}
          # Those of one version among themselves: else a roll-out ends one-sided.
          matchLabelKeys:
            - pod-template-hash
          labelSelector:
            matchLabels:
              {{- include "maywe.selectorLabels" $context | nindent 14 }}
        {{- end }}
      containers:
        - name: maywe
          image: {{ include "maywe.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args:
            - serve
            - {{ $component }}
          envFrom:
            - configMapRef:
                name: {{ include "maywe.fullname" $root }}-settings
          env:
            {{- include "maywe.storeEnvironment" $root | nindent 12 }}
            {{- include "maywe.credentialEnvironment" . | nindent 12 }}
            - name: MAYWE_HEALTH_LISTEN
              value: {{ printf "%s:%s" (include "maywe.everywhere" $root) (include "maywe.healthPort" $root) | quote }}
            - name: MAYWE_METRICS_LISTEN
              {{- if $root.Values.metrics.enabled }}
              value: {{ printf "%s:%s" (include "maywe.everywhere" $root) (include "maywe.metricsPort" $root) | quote }}
              {{- else }}
              # In quotes: YAML takes the word for a boolean.
              value: "off"
              {{- end }}
            - name: MAYWE_SHUTDOWN_DRAIN_SECONDS
              value: {{ $root.Values.shutdown.drainSeconds | quote }}
            - name: MAYWE_SHUTDOWN_GRACE_SECONDS
              value: {{ $root.Values.shutdown.graceSeconds | quote }}
            {{- range .environment }}
            - {{- toYaml . | nindent 14 }}
            {{- end }}
          ports:
            - name: health
              containerPort: {{ include "maywe.healthPort" $root }}
            {{- if $root.Values.metrics.enabled }}
            - name: metrics
              containerPort: {{ include "maywe.metricsPort" $root }}
            {{- end }}
            {{- range .ports }}
            - {{- toYaml . | nindent 14 }}
            {{- end }}
          # Until it serves: connecting to the stores, its lease, as many processes as it has.
          startupProbe:
            grpc:
              port: {{ include "maywe.healthPort" $root }}
            periodSeconds: 2
            failureThreshold: 60
          readinessProbe:
            grpc:
              port: {{ include "maywe.healthPort" $root }}
            periodSeconds: 5
            timeoutSeconds: 2
            failureThreshold: 2
          # Health says nothing of PostgreSQL or Redis: nobody is restarted because they are away.
          livenessProbe:
            grpc:
              port: {{ include "maywe.healthPort" $root }}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          securityContext:
            {{- include "maywe.containerSecurity" $root | nindent 12 }}
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            {{- include "maywe.volumeMounts" $root | nindent 12 }}
            {{- include "maywe.credentialMounts" . | nindent 12 }}
      volumes:
        {{- include "maywe.volumes" $root | nindent 8 }}
        {{- include "maywe.credentialVolumes" . | nindent 8 }}
{{- end -}}

{{/* A headless service: clients see every pod, and spread their calls themselves. */}}
{{- define "maywe.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "maywe.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "maywe.labels" . | nindent 4 }}
spec:
  clusterIP: None
  selector:
    {{- include "maywe.selectorLabels" . | nindent 4 }}
  ports:
    - name: grpc
      port: {{ include "maywe.clientPort" .root }}
      targetPort: grpc
{{- end -}}

{{- define "maywe.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "maywe.fullname" .root }}-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "maywe.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  # One that does not get ready must not keep a node from being emptied.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "maywe.selectorLabels" . | nindent 6 }}
{{- end -}}
