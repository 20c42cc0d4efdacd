import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import manifest from '../../package.json' with { type: 'json' };
import {
  KUSTOMIZE,
  type KubernetesObject,
  renderOverlay,
  schemaTrouble,
} from '../support/deploy/kubernetes-objects.ts';
import { temporaryFolder } from '../support/process/temporary-folder.ts';

// The chart, rendered by the packages that Helm is made of (scripts/install/deploy-tools.sh), beside what kustomize makes of the same files.
const GOPATH = '/usr/share/gocode';
const missing =
  spawnSync('go', ['version']).status !== 0 || !existsSync(join(GOPATH, 'src/sigs.k8s.io/yaml')) || !hasKustomize();
if (missing) console.warn('The chart is not rendered: Go, sprig, sigs.k8s.io/yaml or kustomize is missing.');

const chart = 'deploy/helm/orgtrail';
const { folder } = temporaryFolder();
const renderer = join(folder, 'render-chart');
const render = (values: object): readonly KubernetesObject[] =>
  parseAllDocuments(execFileSync(renderer, [chart, JSON.stringify(values)], { encoding: 'utf8' }))
    .map((document) => document.toJS() as KubernetesObject | null)
    .filter((object) => object !== null);

describe.skipIf(missing)('deploy/helm/orgtrail', () => {
  beforeAll(() => {
    const env = { ...process.env, GO111MODULE: 'off', GOPATH, GOFLAGS: '' };
    execFileSync('go', ['build', '-o', renderer, 'test/support/deploy/render-chart.go'], { env });
  });

  const replicas = {
    replicas: 3,
    monitors: true,
    settings: { ORGTRAIL_HISTORY: '548d', ORGTRAIL_API_BUDGET: '900', ORGTRAIL_CONCURRENCY: '12' },
  };

  test.each([
    ['the overlay replicas', replicas, []],
    ['with an archive', { ...replicas, secrets: { archive: 'orgtrail-archive' } }, ['archive']],
    [
      'with an archive and evidence',
      { ...replicas, secrets: { archive: 'orgtrail-archive', evidence: 'orgtrail-evidence' } },
      ['archive', 'evidence-process'],
    ],
  ] as const)('has the objects that kustomize makes: %s', (_, values, components) => {
    expect(comparable(render(values))).toEqual(comparable(renderOverlay('replicas', components)));
  });

  test.each([
    [{}],
    [{ secrets: { owner: '', sinks: 'orgtrail-sinks', daemon: 'mine', archive: 'bucket', evidence: 'signer' } }],
    [{ ...replicas, networkPolicy: { enabled: false }, settings: { ORGTRAIL_RETENTION: '730d' } }],
  ])('every object is what its schema says, with the values %j', (values) => {
    for (const object of render(values)) expect(schemaTrouble(object), object.kind).toEqual([]);
  });

  test('each value is in the objects', () => {
    const objects = render({
      image: { repository: 'ghcr.io/owner/orgtrail', tag: '1.2.3@sha256:00' },
      secrets: { daemon: 'mine', owner: '', sinks: 'receivers', archive: 'bucket', evidence: 'signer' },
      networkPolicy: { egressPorts: [5433, 443, 6514] },
    });
    const pods = objects.flatMap(({ spec }) => spec?.template?.spec ?? []);
    for (const { containers } of pods) expect(containers[0]?.image).toBe('ghcr.io/owner/orgtrail:1.2.3@sha256:00');
    const [daemon, evidence] = pods;
    expect(daemon?.volumes?.flatMap(({ secret }) => secret?.secretName ?? [])).toEqual(['mine', 'bucket', 'receivers']);
    expect(evidence?.volumes?.map(({ secret }) => secret?.secretName)).toEqual(['signer']);
    expect(daemon?.containers[0]?.env).toContainEqual({
      name: 'ORGTRAIL_SINKS_FILE',
      value: '/run/secrets/orgtrail-sinks/sinks.json',
    });
    expect(objects.map(({ kind }) => kind)).not.toContain('Job');
    const policy = objects.find(({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === 'orgtrail');
    expect(JSON.stringify(policy)).toMatch(/5433.*443.*6514/);
    const job = render({ settings: { ORGTRAIL_RETENTION: '730d' } }).find(({ kind }) => kind === 'Job');
    expect(job?.spec?.template?.spec.containers[0]?.env).toContainEqual({ name: 'ORGTRAIL_RETENTION', value: '730d' });
  });
});

test('the chart has the version of the package', () => {
  const { version, appVersion } = parse(readFileSync(`${chart}/Chart.yaml`, 'utf8'));
  expect([version, appVersion]).toEqual([manifest.version, manifest.version]);
});

function hasKustomize(): boolean {
  return spawnSync(KUSTOMIZE, ['version']).status === 0;
}

/**
 * By kind and name, without what each tool does so that a Job or pods are replaced: the hash in the name of a config map, an annotation, the number of
 * the revision. Lists of names are sorted where their order means nothing.
 */
const comparable = (objects: readonly KubernetesObject[]): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    objects
      .map((object) => JSON.parse(JSON.stringify(object).replaceAll(/orgtrail-settings-\w+/g, 'orgtrail-settings')))
      .map((object) => {
        const { metadata, spec } = object;
        metadata.name = metadata.name.replace(/^(orgtrail-migrate)-1$/, '$1');
        delete spec?.template?.metadata.annotations;
        for (const list of ['env', 'volumeMounts']) spec?.template?.spec.containers[0][list]?.sort(byName);
        spec?.template?.spec.volumes?.sort(byName);
        return [`${object.kind} ${metadata.name}`, object];
      }),
  );
const byName = (a: { readonly name: string }, b: { readonly name: string }): number => (a.name < b.name ? -1 : 1);
