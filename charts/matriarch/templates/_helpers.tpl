{{- define "matriarch.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "matriarch.fullname" -}}
{{- $name := include "matriarch.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "matriarch.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "matriarch.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "matriarch.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "matriarch.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* Labels of selectors: they can never change. */ -}}
{{- define "matriarch.selectorLabels" -}}
app.kubernetes.io/name: {{ include "matriarch.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "matriarch.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "matriarch.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* "metadata" of an object: dict "root" $ "name" … ["namespace" …] ["labels" …] ["annotations" …] */ -}}
{{- define "matriarch.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- mergeOverwrite (dict) .root.Values.commonLabels (fromYaml (include "matriarch.labels" .root)) (default (dict) .labels) | toYaml | nindent 2 }}
{{- with mergeOverwrite (dict) .root.Values.commonAnnotations (default (dict) .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "matriarch.subject" -}}
- kind: ServiceAccount
  name: {{ include "matriarch.serviceAccountName" . }}
  namespace: {{ include "matriarch.namespace" . }}
{{- end -}}

{{- /* What the operator does in a namespace with clusters. It holds every right that it grants to
agents (get, update and patch of one Lease), so it needs neither "escalate" nor "bind". Server-side
apply needs patch, and create for what does not exist yet. */ -}}
{{- define "matriarch.rules" -}}
- apiGroups: [matriarch.dev]
  resources: [postgresclusters]
  verbs: [get, list, watch, update, patch]
- apiGroups: [matriarch.dev]
  resources: [postgresclusters/status]
  verbs: [get, update, patch]
- apiGroups: [matriarch.dev]
  resources: [postgresclusters/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [statefulsets, deployments]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps, secrets, serviceaccounts]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch, create, update, patch, delete]
# Listed too: quotas and missing storage classes are told by events only.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list, create, update, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, update, patch, delete]
{{- end -}}
