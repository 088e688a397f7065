{{/*
What a pod of a parent chart includes, each with `.Subcharts.outrigger`, so that values and their defaults are this chart's.
*/}}

{{- define "outrigger.configMap" -}}
{{ .Values.existingConfigMap | default (printf "%s-outrigger" .Release.Name | trunc 63 | trimSuffix "-") }}
{{- end }}

{{/* For the pod's metadata. */}}
{{- define "outrigger.labels" -}}
outrigger: sidecar
{{- end }}

{{/* For the pod's metadata; without any, nothing. */}}
{{- define "outrigger.annotations" -}}
{{- if .Values.annotations -}}
prometheus.io/scrape: "true"
prometheus.io/port: "15021"
prometheus.io/path: /metrics
{{- end }}
{{- end }}

{{/* For the pod's securityContext: the group for which its secrets are readable. */}}
{{- define "outrigger.podSecurityContext" -}}
fsGroup: 65532
{{- end }}

{{/* For the pod's spec: the seconds for the application's own end and then the proxy's. */}}
{{- define "outrigger.terminationGracePeriodSeconds" -}}
{{ .Values.terminationGracePeriodSeconds }}
{{- end }}

{{/* The first of the pod's initContainers: a native sidecar, which serves before the application and ends after it. */}}
{{- define "outrigger.initContainer" -}}
- name: outrigger
  image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  restartPolicy: Always
  args: [run, --config, /etc/outrigger]
  ports:
    {{- with .Values.ports }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    - name: probes
      containerPort: 15021
  startupProbe:
    httpGet: { path: /readyz, port: probes }
    periodSeconds: 1
    failureThreshold: 60
  readinessProbe:
    httpGet: { path: /readyz, port: probes }
    periodSeconds: 5
  livenessProbe:
    httpGet: { path: /livez, port: probes }
    periodSeconds: 10
    failureThreshold: 6
  {{- with .Values.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    readOnlyRootFilesystem: true
    allowPrivilegeEscalation: false
    capabilities: { drop: [ALL] }
    seccompProfile: { type: RuntimeDefault }
  volumeMounts:
    - name: outrigger
      mountPath: /etc/outrigger
      readOnly: true
    {{- if .Values.secret }}
    - name: outrigger-secrets
      mountPath: /etc/outrigger-secrets
      readOnly: true
    {{- end }}
    {{- if or .Values.tlsSecret .Values.spiffe }}
    - name: outrigger-tls
      mountPath: /etc/outrigger-tls
      readOnly: true
    {{- end }}
{{- end }}

{{/* For the pod's volumes. */}}
{{- define "outrigger.volumes" -}}
- name: outrigger
  configMap:
    name: {{ include "outrigger.configMap" . }}
{{- with .Values.secret }}
- name: outrigger-secrets
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- if .Values.spiffe }}
- name: outrigger-tls
  csi:
    driver: spiffe.csi.cert-manager.io
    readOnly: true
{{- else }}
{{- with .Values.tlsSecret }}
- name: outrigger-tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- end }}
