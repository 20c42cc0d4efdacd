import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/app/config/config.ts';
import {
  type Container,
  KUSTOMIZE,
  type KubernetesObject,
  renderOverlay,
  schemaTrouble,
} from '../support/deploy/kubernetes-objects.ts';
import { prometheusRuleFile, prometheusRuleText } from '../support/deploy/kubernetes-rules.ts';

const hasKustomize = spawnSync(KUSTOMIZE, ['version']).status === 0;
const overlays = ['try', 'replicas'] as const;

test('the PrometheusRule is what deploy/prometheus/rules.yml says (npm run generate)', () => {
  expect(parse(readFileSync(prometheusRuleFile, 'utf8'))).toEqual(parse(prometheusRuleText()));
});

test('the component evidence has objects of their schemas, and the key is in its pod alone', () => {
  const file = new URL('../../deploy/kubernetes/components/evidence-process/evidence.yaml', import.meta.url);
  const objects = parseAllDocuments(readFileSync(file, 'utf8')).map((each) => each.toJS() as KubernetesObject);
  expect(objects.map(({ kind }) => kind)).toEqual(['Deployment', 'NetworkPolicy']);
  for (const object of objects) expect(schemaTrouble(object), object.kind).toEqual([]);
  const pod = objects[0]?.spec?.template?.spec;
  expect(pod?.containers.map(({ args }) => args)).toEqual([['evidence', 'run']]);
  expect(pod?.volumes?.map(({ secret }) => secret?.secretName)).toEqual(['orgtrail-evidence']);
});

describe.skipIf(!hasKustomize).each(overlays)('deploy/kubernetes/overlays/%s', (overlay) => {
  const objects = hasKustomize ? renderOverlay(overlay) : [];
  const ofKind = (kind: string) => objects.filter((object) => object.kind === kind);
  const workloads = objects.filter(({ spec }) => spec?.template !== undefined);
  const pods = workloads.map(({ metadata, spec }) => ({
    name: metadata.name,
    labels: spec?.template?.metadata.labels ?? {},
    // biome-ignore lint/style/noNonNullAssertion: that is what makes a workload, above
    pod: spec!.template!.spec,
  }));
  const matches = (selector: Readonly<Record<string, string>>) =>
    pods.filter(({ labels }) => Object.entries(selector).every(([key, value]) => labels[key] === value));
  const containers: readonly Container[] = pods.flatMap(({ pod }) => [
    ...pod.containers,
    ...(pod.initContainers ?? []),
  ]);

  test('has what it is for', () => {
    const kinds = new Set(objects.map(({ kind }) => kind));
    const wanted = ['Deployment', 'Service', 'ServiceAccount', 'NetworkPolicy', 'ConfigMap', 'Job'];
    const own = {
      try: ['StatefulSet', 'Secret'],
      replicas: ['PodDisruptionBudget', 'ServiceMonitor', 'PrometheusRule'],
    };
    expect(kinds).toEqual(new Set([...wanted, ...own[overlay]]));
    const [daemon] = ofKind('Deployment');
    expect(daemon?.spec?.replicas).toBe({ try: 1, replicas: 3 }[overlay]);
  });

  test('every object is what the schema of its kind says, and has no field that the schema does not know', () => {
    for (const object of objects) expect(schemaTrouble(object), `${object.kind} ${object.metadata.name}`).toEqual([]);
  });

  test('every reference leads to something: config maps, secrets and their keys, accounts, volumes, ports', () => {
    const secrets = new Map(ofKind('Secret').map(({ metadata, data = {} }) => [metadata.name, Object.keys(data)]));
    const known = overlay === 'replicas' ? new Map(Object.entries(madeByHand)) : secrets;
    const maps = ofKind('ConfigMap').map(({ metadata }) => metadata.name);
    for (const { pod } of pods) {
      if (pod.serviceAccountName !== undefined) {
        expect(ofKind('ServiceAccount').map(({ metadata }) => metadata.name)).toContain(pod.serviceAccountName);
      }
      for (const { secret, configMap } of pod.volumes ?? []) {
        if (configMap !== undefined) expect(maps).toContain(configMap.name);
        if (secret === undefined) continue;
        const keys = known.get(secret.secretName) ?? [];
        expect(keys.length, secret.secretName).toBeGreaterThan(0);
        for (const { key } of secret.items ?? []) expect(keys).toContain(key);
      }
    }
    for (const { envFrom = [] } of containers)
      for (const each of envFrom) expect(maps).toContain(each.configMapRef?.name);
  });

  test('every file that a setting names is mounted, from a key of its secret', () => {
    for (const { name, pod } of pods) {
      const claims = workloads.find(({ metadata }) => metadata.name === name)?.spec?.volumeClaimTemplates ?? [];
      const volumes = [
        ...(pod.volumes ?? []).map((volume) => volume.name),
        ...claims.map(({ metadata }) => metadata.name),
      ];
      for (const container of pod.containers) {
        const mounts = container.volumeMounts ?? [];
        for (const mount of mounts) expect(volumes).toContain(mount.name);
        const files = (container.env ?? []).filter((each) => each.name.endsWith('_FILE'));
        for (const { name: setting, value = '' } of files) {
          const mount = mounts.find(({ mountPath }) => value.startsWith(`${mountPath}/`));
          const secret = pod.volumes?.find((volume) => volume.name === mount?.name)?.secret;
          const path = value.slice((mount?.mountPath.length ?? 0) + 1);
          const there = secret?.items?.map((item) => item.path) ?? keysOf(objects, secret?.secretName);
          expect(there, setting).toContain(path);
        }
      }
    }
  });

  test('selectors match pods: of workloads, services, budgets, policies and monitors', () => {
    for (const { kind, metadata, spec } of objects) {
      const what = `${kind} ${metadata.name}`;
      const selector = spec?.selector ?? spec?.podSelector;
      if (selector === undefined) continue;
      const labels = 'matchLabels' in selector ? selector.matchLabels : selector;
      if (kind === 'ServiceMonitor') {
        const services = ofKind('Service').filter((service) =>
          Object.entries(labels ?? {}).every(([key, value]) => service.metadata.labels?.[key] === value),
        );
        expect(services.map((service) => service.metadata.labels?.[spec?.jobLabel ?? ''])).toEqual(['orgtrail']);
        const ports = services.flatMap((service) => service.spec?.ports ?? []).map(({ name }) => name);
        for (const { port } of spec?.endpoints ?? []) expect(ports).toContain(port);
      } else {
        expect(matches(labels as Record<string, string>), what).toHaveLength(1);
      }
    }
    for (const { name, pod } of pods) {
      for (const { labelSelector } of pod.topologySpreadConstraints ?? []) {
        expect(matches(labelSelector.matchLabels).map((each) => each.name)).toEqual([name]);
      }
    }
    // Of every pod it is said whom it may talk to.
    const policies = ofKind('NetworkPolicy').flatMap(({ spec }) => matches(spec?.podSelector?.matchLabels ?? {}));
    expect(new Set(policies.map(({ name }) => name))).toEqual(new Set(pods.map(({ name }) => name)));
    for (const { spec } of ofKind('NetworkPolicy')) expect(spec?.policyTypes).toEqual(['Ingress', 'Egress']);
  });

  test('ports that probes, services and policies name are there', () => {
    const named = containers.flatMap(({ ports = [] }) => ports.map(({ name }) => name));
    for (const { startupProbe, livenessProbe, readinessProbe, ports = [] } of containers) {
      if (ports.length === 0) continue;
      for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
        expect(probe).toBeDefined();
        const port = probe?.httpGet?.port ?? probe?.tcpSocket?.port;
        if (port !== undefined) expect(ports.map(({ name }) => name)).toContain(port);
      }
    }
    for (const { spec } of ofKind('Service'))
      for (const each of spec?.ports ?? []) expect(named).toContain(each.targetPort);
    for (const { spec } of ofKind('NetworkPolicy')) {
      for (const { port } of (spec?.ingress ?? []).flatMap(({ ports = [] }) => ports)) expect(named).toContain(port);
    }
  });

  test('probes ask for what the daemon serves: liveness does not depend on the database', () => {
    const [daemon] = ofKind('Deployment').flatMap(({ spec }) => spec?.template?.spec.containers ?? []);
    expect(daemon?.livenessProbe?.httpGet?.path).toBe('/livez');
    expect(daemon?.startupProbe?.httpGet?.path).toBe('/livez');
    expect(daemon?.readinessProbe?.httpGet?.path).toBe('/readyz');
  });

  test('holds what the Pod Security Standard "restricted" asks for, and more', () => {
    for (const { name, pod } of pods) {
      expect(pod.automountServiceAccountToken, name).toBe(false);
      expect([pod.hostNetwork, pod.hostPID, pod.hostIPC]).toEqual([undefined, undefined, undefined]);
      expect(pod.securityContext?.runAsNonRoot).toBe(true);
      expect(pod.securityContext?.runAsUser).toBeGreaterThan(0);
      expect(pod.securityContext?.seccompProfile).toEqual({ type: 'RuntimeDefault' });
      for (const volume of pod.volumes ?? []) {
        expect(Object.keys(volume).filter((key) => !['name', 'secret', 'configMap', 'emptyDir'].includes(key))).toEqual(
          [],
        );
      }
    }
    for (const { name, securityContext, resources } of containers) {
      expect(securityContext, name).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(resources?.requests, name).toBeDefined();
      expect(resources?.limits, name).toHaveProperty('memory');
      expect(resources?.limits, name).toHaveProperty('ephemeral-storage');
    }
    for (const account of ofKind('ServiceAccount')) expect(account.automountServiceAccountToken).toBe(false);
  });

  test('the daemon cannot read who owns the schema: no Secret is shared by the daemon and by what migrates', () => {
    const secretsOf = (kind: string) =>
      ofKind(kind).flatMap(({ spec }) =>
        (spec?.template?.spec.volumes ?? []).flatMap(({ secret }) => secret?.secretName ?? []),
      );
    const [daemon, migrate] = [secretsOf('Deployment'), secretsOf('Job')];
    expect([daemon.length, migrate.length]).toEqual([1, 1]);
    expect(daemon.filter((name) => migrate.includes(name))).toEqual([]);
  });

  test('gives the daemon settings that it knows and takes', () => {
    const [daemon] = ofKind('Deployment').flatMap(({ spec }) => spec?.template?.spec.containers ?? []);
    const maps = (daemon?.envFrom ?? []).map(({ configMapRef }) => dataOf(objects, configMapRef?.name));
    const settings = Object.assign({}, ...maps) as Record<string, string>;
    const files = (daemon?.env ?? []).map(({ name }) => name);
    // The files are not here: their secrets stand in for them.
    const secrets: Record<string, string> = {
      DATABASE_URL_FILE: 'postgres://orgtrail:secret@db.example.com/orgtrail?sslmode=verify-full',
      CLOUDFLARE_API_TOKEN_FILE: 'token',
      ORGTRAIL_FEED_TOKEN_FILE: 'a-token-of-the-feed',
    };
    for (const name of files) {
      expect(Object.keys(secrets)).toContain(name);
      settings[name.replace(/_FILE$/, '')] = secrets[name] ?? '';
    }
    expect(loadConfig(settings, { needsCredential: true, interactive: false }).warnings).toEqual([]);
  });
});

const dataOf = (objects: readonly KubernetesObject[], name: string | undefined): Readonly<Record<string, string>> =>
  objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === name)?.data ?? {};

const keysOf = (objects: readonly KubernetesObject[], name: string | undefined): readonly string[] =>
  Object.keys(objects.find(({ kind, metadata }) => kind === 'Secret' && metadata.name === name)?.data ?? {});

/** In these the operator makes this Secret, with these keys. */
const madeByHand: Readonly<Record<string, readonly string[]>> = {
  orgtrail: ['database-url', 'cloudflare-api-token', 'feed-token'],
  'orgtrail-owner': ['owner-url'],
};
