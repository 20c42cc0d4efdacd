import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PrometheusRule } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule';
import { ServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { StatefulSet } from 'kubernetes-models/apps/v1/StatefulSet';
import { Job } from 'kubernetes-models/batch/v1/Job';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Secret } from 'kubernetes-models/v1/Secret';
import { Service } from 'kubernetes-models/v1/Service';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { parse, parseAllDocuments, stringify } from 'yaml';

/** Debian's package has this name, too. */
export const KUSTOMIZE = 'kustomize';

type Labels = Readonly<Record<string, string>>;

interface SecurityContext {
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
  readonly seccompProfile?: { readonly type: string };
  readonly allowPrivilegeEscalation?: boolean;
  readonly privileged?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
}

interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string | number };
  readonly tcpSocket?: { readonly port: string | number };
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly envFrom?: readonly { readonly configMapRef?: { readonly name: string } }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly resources?: { readonly requests?: object; readonly limits?: object };
  readonly securityContext?: SecurityContext;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}

interface Volume {
  readonly name: string;
  readonly secret?: {
    readonly secretName: string;
    readonly items?: readonly { readonly key: string; readonly path: string }[];
  };
  readonly configMap?: { readonly name: string };
  readonly emptyDir?: object;
}

interface PodSpec {
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly securityContext?: SecurityContext;
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly Volume[];
  readonly topologySpreadConstraints?: readonly { readonly labelSelector: { readonly matchLabels: Labels } }[];
}

/** An object as kustomize renders it, as far as tests look at it. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Labels };
  readonly data?: Readonly<Record<string, string>>;
  readonly automountServiceAccountToken?: boolean;
  readonly spec?: {
    readonly replicas?: number;
    readonly selector?: Labels | { readonly matchLabels: Labels };
    readonly serviceName?: string;
    readonly podSelector?: { readonly matchLabels: Labels };
    readonly policyTypes?: readonly string[];
    readonly ingress?: readonly { readonly ports?: readonly { readonly port: string | number }[] }[];
    readonly ports?: readonly { readonly name: string; readonly targetPort: string | number }[];
    readonly endpoints?: readonly { readonly port: string; readonly path: string }[];
    readonly jobLabel?: string;
    readonly maxUnavailable?: number;
    readonly template?: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
  };
}

/** Renders an overlay of deploy/kubernetes in a copy, with secrets that its script makes where it has one, and with further components and patches. */
export const renderOverlay = (
  name: string,
  components: readonly string[] = [],
  patches: readonly unknown[] = [],
): readonly KubernetesObject[] => {
  const copy = mkdtempSync(join(tmpdir(), 'orgtrail-kustomize-'));
  try {
    cpSync(fileURLToPath(new URL('../../../deploy/kubernetes', import.meta.url)), copy, {
      recursive: true,
      filter: (path) => !path.endsWith('/secrets'),
    });
    const overlay = join(copy, 'overlays', name);
    if (name === 'try') execFileSync('bash', [join(overlay, 'make-secrets.sh')]);
    extend(join(overlay, 'kustomization.yaml'), components, patches);
    const text = execFileSync(KUSTOMIZE, ['build', overlay], { encoding: 'utf8' });
    return parseAllDocuments(text).map((document) => withWholeSecrets(document.toJS() as KubernetesObject));
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
};

const extend = (file: string, names: readonly string[], morePatches: readonly unknown[]): void => {
  const before = parse(readFileSync(file, 'utf8')) as {
    readonly components?: readonly string[];
    readonly patches?: readonly unknown[];
  };
  const components = [...(before.components ?? []), ...names.map((name) => `../../components/${name}`)];
  const patches = [...(before.patches ?? []), ...morePatches];
  writeFileSync(file, stringify({ ...before, components, patches }));
};

/** kustomize breaks the base64 of secrets into lines, which Kubernetes takes and its schema does not. */
const withWholeSecrets = (object: KubernetesObject): KubernetesObject =>
  object.kind === 'Secret' && object.data !== undefined
    ? {
        ...object,
        data: Object.fromEntries(Object.entries(object.data).map(([key, value]) => [key, value.replace(/\s/g, '')])),
      }
    : object;

const models = {
  Deployment,
  StatefulSet,
  Job,
  NetworkPolicy,
  PodDisruptionBudget,
  ConfigMap,
  Secret,
  Service,
  ServiceAccount,
  ServiceMonitor,
  PrometheusRule,
};

/** What the schemas of Kubernetes (and of the Prometheus Operator) say is wrong with an object; empty where nothing is. */
export const schemaTrouble = (object: KubernetesObject): readonly string[] => {
  const model = Object.values(models).find(
    ({ kind, apiVersion }) => kind === object.kind && apiVersion === object.apiVersion,
  );
  if (model === undefined) return [`no schema of ${object.apiVersion} ${object.kind}`];
  const looked = new Set<string>();
  try {
    // The model holds a copy: only what reads that is the check.
    (watched(new model(object as never), '', looked) as { validate(): void }).validate();
  } catch (error) {
    return [(error as Error).message];
  }
  // What the check never looked at is nothing that Kubernetes knows.
  return pathsOf(object, '').filter((path) => !looked.has(path));
};

/** The same value, noting the path of everything that is read. */
const watched = (value: unknown, path: string, looked: Set<string>): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  return new Proxy(value, {
    get: (target, key) => {
      const inner = `${path}/${String(key)}`;
      looked.add(inner);
      return watched(Reflect.get(target, key), inner, looked);
    },
  });
};

const pathsOf = (value: unknown, path: string): string[] =>
  typeof value === 'object' && value !== null
    ? Object.entries(value).flatMap(([key, inner]) => [`${path}/${key}`, ...pathsOf(inner, `${path}/${key}`)])
    : [];
