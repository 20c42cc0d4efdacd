import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/app/config/config.ts';
import { signerOf } from '../../src/app/start-evidence.ts';
import { objectLimits } from '../../src/archive/archive-month.ts';
import { makeKeyFile } from '../../src/evidence/keys.ts';
import { KUSTOMIZE, renderOverlay, schemaTrouble } from '../support/deploy/kubernetes-objects.ts';
import { faultsOfUnit, hasSystemd, unitFile, valuesOf } from '../support/deploy/systemd-unit.ts';
import { temporaryFolder } from '../support/process/temporary-folder.ts';

const { folder, file } = temporaryFolder();
const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const hasKustomize = spawnSync(KUSTOMIZE, ['version']).status === 0;
const bucket = { ORGTRAIL_ARCHIVE: 's3://audit-archive/orgtrail?region=eu-central-1' };

const compose = (name: string) => parse(read(`deploy/compose/${name}.yaml`), { merge: true }) as ComposeFile;
const { orgtrail: changed, ...added } = compose('evidence-process').services;

describe.skipIf(!hasKustomize).each(['try', 'replicas'])('deploy/kubernetes/components, over %s', (overlay) => {
  /** The daemon with a component: what was there before is there still. */
  const render = (component: string) => {
    const objects = renderOverlay(overlay, [component]);
    for (const object of objects) expect(schemaTrouble(object), object.metadata.name).toEqual([]);
    const pod = objects.find(({ kind }) => kind === 'Deployment')?.spec?.template?.spec;
    const [container] = pod?.containers ?? [];
    expect(container?.volumeMounts?.map(({ name }) => name)).toContain('secrets');
    expect(container?.env?.map(({ name }) => name)).toContain('DATABASE_URL_FILE');
    const secretWith = (path: string) => {
      const mount = container?.volumeMounts?.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
      return pod?.volumes?.find(({ name }) => name === mount?.name)?.secret;
    };
    return { pod, container, secretWith };
  };

  test('archive gives the daemon the keys, as files of a Secret of their own', () => {
    const { container, secretWith } = render('archive');
    const added = (container?.env ?? []).filter(({ name }) => name.startsWith('ORGTRAIL_ARCHIVE'));
    for (const { name, value = '' } of added) {
      const secret = secretWith(value);
      expect(secret?.secretName, name).toBe('orgtrail-archive');
      expect(secret?.items?.map(({ path }) => path)).toContain(value.split('/').at(-1));
    }
    expectArchive({ ...bucket, ...Object.fromEntries(added.map(({ name, value = '' }) => [name, value])) });
  });

  test('archive gives the daemon a directory for the object in hand, on the disk', () => {
    const { pod, container } = render('archive');
    const mount = container?.volumeMounts?.find(({ mountPath }) => mountPath === '/tmp');
    const volume = pod?.volumes?.find(({ name }) => name === mount?.name)?.emptyDir as { sizeLimit: string };
    expect(Object.keys(volume)).toEqual(['sizeLimit']);
    expect(bytesOf(volume.sizeLimit)).toBeGreaterThanOrEqual(WORK_BYTES);
    const { requests = {}, limits = {} } = (container?.resources ?? {}) as Partial<
      Record<'requests' | 'limits', Record<string, string>>
    >;
    // The log had this much before.
    const log = 256 * MEBIBYTE;
    expect(bytesOf(limits['ephemeral-storage'] ?? '')).toBeGreaterThanOrEqual(bytesOf(volume.sizeLimit) + log);
    expect(bytesOf(requests['ephemeral-storage'] ?? '')).toBeGreaterThanOrEqual(WORK_BYTES);
    expect(bytesOf(limits['memory'] ?? '')).toBeGreaterThanOrEqual(MEMORY_BYTES);
    expect(container?.securityContext?.readOnlyRootFilesystem).toBe(true);
  });

  test('evidence gives the daemon the key, as a file that it takes', () => {
    const { container, secretWith } = render('evidence');
    const path = container?.env?.find(({ name }) => name === 'ORGTRAIL_EVIDENCE_KEY_FILE')?.value ?? '';
    const secret = secretWith(path);
    expect(secret).toMatchObject({ secretName: 'orgtrail-evidence', items: [{ path: path.split('/').at(-1) }] });
    expectSigner({}, (secret as unknown as { readonly defaultMode: number }).defaultMode);
  });
});

test.skipIf(!hasKustomize)('the retention of the Job is set as docs/operations/kubernetes.md says', () => {
  const [, patches = ''] =
    /```yaml\n(patches:\n[^`]*orgtrail-migrate[^`]*)```/.exec(read('docs/operations/kubernetes.md')) ?? [];
  const { patches: more } = parse(patches) as { readonly patches: readonly unknown[] };
  const job = renderOverlay('replicas', ['archive'], more).find(({ kind }) => kind === 'Job');
  const env = job?.spec?.template?.spec.containers[0]?.env ?? [];
  expect(env.map(({ name }) => name)).toEqual(['DATABASE_URL_FILE', 'ORGTRAIL_RETENTION']);
});

describe('deploy/compose/archive.yaml', () => {
  const { services, secrets, networks } = compose('archive');
  const { orgtrail, bucket: server } = services as { readonly orgtrail: Service; readonly bucket: Service };

  test('gives the daemon the keys as secrets, and a volume, which does not count as memory, as its temporary directory', () => {
    const { ORGTRAIL_ARCHIVE: given, ...keys } = orgtrail.environment;
    expect(given).toMatch(/^\$\{ORGTRAIL_ARCHIVE:\?/);
    expect(Object.values(keys)).toEqual(orgtrail.secrets.map((name) => `/run/secrets/${name}`));
    expectArchive({ ...bucket, ...keys });
    expect(orgtrail.volumes).toEqual(['archive-work:/tmp']);
    expect(orgtrail.tmpfs).toBeUndefined();
    expect(bytesOf(compose('compose').services['orgtrail']?.mem_limit ?? '')).toBeGreaterThanOrEqual(MEMORY_BYTES);
  });

  test('its bucket is for trying: by a profile, on a network without a way out, with keys that make-secrets.sh makes', () => {
    expect(server.profiles).toEqual(['bucket']);
    expect(server.ports).toBeUndefined();
    expect(server.networks).toEqual(['bucket']);
    expect(networks['bucket']).toEqual({ internal: true });
    const made = read('deploy/compose/make-secrets.sh');
    for (const name of server.secrets) {
      expect(made).toContain(name);
      expect(secrets[name]).toEqual({ file: `./secrets/${name}` });
    }
    const settings = parseEnv(read('deploy/compose/bucket.env')) as Record<string, string>;
    expect(settings['COMPOSE_FILE']).toBe('compose.yaml:archive.yaml');
    expect(settings['COMPOSE_PROFILES']?.split(',')).toContain('bucket');
    const { ORGTRAIL_ARCHIVE: archive = '' } = settings;
    expectArchive({ ...orgtrail.environment, ORGTRAIL_ARCHIVE: archive });
    // The bucket that its script makes, at the port that it listens on.
    const endpoint = new URL(new URL(archive).searchParams.get('endpoint') ?? '');
    const script = read('deploy/compose/bucket/bucket.sh');
    expect(script).toContain(`http://127.0.0.1:${endpoint.port}/${new URL(archive).hostname}`);
  });
});

test('deploy/compose/evidence.yaml adds to the daemon settings that there are, its secret and a directory as the anchor', () => {
  const { services, secrets } = compose('evidence');
  expect(Object.keys(services)).toEqual(['orgtrail']);
  const { environment, secrets: used, volumes } = services['orgtrail'] as Service;
  expect(environment['ORGTRAIL_EVIDENCE_KEY_FILE']).toBe(`/run/secrets/${used[0]}`);
  expect(secrets).toEqual({ evidence_key: { file: './secrets/evidence_key' } });
  expect(volumes[0]).toMatch(/:\/anchor$/);
  const [, anchors = ''] = /:-(.*)\}$/.exec(environment['ORGTRAIL_EVIDENCE_ANCHORS'] ?? '') ?? [];
  expect(anchors).toBe('file:/anchor');
  expectSigner({ ORGTRAIL_EVIDENCE_ANCHORS: anchors }, 0o400);
});

test('deploy/systemd/archive.conf loads the credentials that its settings name, and puts the object in hand on the disk', () => {
  const [dropIn, unit] = [unitFile('archive.conf'), unitFile('orgtrail.service')];
  const { TMPDIR, ...keys } = Object.fromEntries(
    valuesOf(dropIn, 'Environment').map((value) => value.split('=') as [string, string]),
  );
  const loaded = valuesOf(dropIn, 'LoadCredential').map((value) => `%d/${value.split(':')[0]}`);
  expect(Object.values(keys)).toEqual(loaded);
  expectArchive({ ...bucket, ...keys });
  expect(TMPDIR).toBe('/var/tmp');
  // Without it /var/tmp could not be written to.
  expect(valuesOf(unit, 'PrivateTmp')).toEqual(['yes']);
  expect(bytesOf(valuesOf(unit, 'MemoryMax')[0] ?? '')).toBeGreaterThanOrEqual(MEMORY_BYTES);
});

test('deploy/systemd/evidence.conf loads the credential that the setting names', () => {
  const dropIn = unitFile('evidence.conf');
  const [, loaded] = /^LoadCredential=([^:]+):/m.exec(dropIn) ?? [];
  expect(dropIn).toContain(`\nEnvironment=ORGTRAIL_EVIDENCE_KEY_FILE=%d/${loaded}\n`);
  // systemd gives a service its credentials with this mode.
  expectSigner({}, 0o440);
});

test.skipIf(!hasSystemd).each(['archive.conf', 'evidence.conf'])(
  'deploy/systemd/%s has no fault that systemd knows of, with its comments as lines too',
  (name) => {
    expect(unitFile(name)).toMatch(/^#\w+=/m);
    expect(faultsOfUnit(unitFile(name))).toBe('');
  },
);

test('the key of the evidence is for its container alone', () => {
  expect(Object.keys(added)).toEqual(['evidence']);
  expect(added['evidence']?.secrets).toEqual(['evidence_url', 'evidence_key']);
  expect(added['evidence']?.environment?.['ORGTRAIL_EVIDENCE_KEY_FILE']).toBe('/run/secrets/evidence_key');
  expect(Object.keys(changed ?? {})).toEqual(['environment']);
  expect(Object.keys(changed?.environment ?? {})).toEqual(['ORGTRAIL_EVIDENCE_ORIGIN']);
});

test.each([
  ...Object.entries({ ...compose('compose').services, ...added }),
  ['bucket', compose('archive').services['bucket'] as Service] as const,
])('the service %s has a limit of memory and leaves no core dump', (_, service) => {
  expect(service.mem_limit).toMatch(/^(\d+m|\$\{POSTGRES_MEMORY:-1g\})$/);
  expect(service.ulimits).toEqual({ core: 0 });
  expect(service.read_only).toBe(true);
});

interface Service {
  readonly mem_limit?: string;
  readonly ulimits?: { readonly core?: number };
  readonly read_only?: boolean;
  readonly environment: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
  readonly volumes: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly ports?: readonly string[];
  readonly networks: readonly string[];
  readonly profiles?: readonly string[];
}

interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
  readonly networks: Readonly<Record<string, { readonly internal: boolean }>>;
}

const MEBIBYTE = 1_048_576;
/** An object in hand: its rows as JSON, and the object, which is never larger; and as much again for what does not fit into the memory of DuckDB. */
const WORK_BYTES = 3 * objectLimits.maxTextBytes;
/** What orgtrail.service, compose.yaml and the Deployment allow, and what the figures of docs/operations/sizing.md were measured with. */
const MEMORY_BYTES = 512 * MEBIBYTE;

const units: Readonly<Record<string, number>> = { Mi: MEBIBYTE, Gi: 1_024 * MEBIBYTE, M: MEBIBYTE, m: MEBIBYTE };

const bytesOf = (text: string): number => {
  const [, amount, unit = ''] = /^(\d+)(\w+)$/.exec(text) ?? [];
  return Number(amount) * (units[unit] ?? Number.NaN);
};

const load = (settings: Readonly<Record<string, string>>) =>
  loadConfig({ CLOUDFLARE_API_TOKEN: 'token', ...settings }, { needsCredential: true, interactive: false });

/** The settings are ones that there are, and lead to an archive with these keys. */
const expectArchive = (settings: Readonly<Record<string, string>>): void => {
  const names = Object.keys(settings).filter((name) => name.endsWith('_FILE'));
  expect(names.sort()).toEqual(['ORGTRAIL_ARCHIVE_S3_ACCESS_KEY_FILE', 'ORGTRAIL_ARCHIVE_S3_SECRET_KEY_FILE']);
  const own = Object.fromEntries(names.map((name) => [name, file(name, `of-${name}\n`)]));
  const config = load({ ORGTRAIL_RETENTION: '730d', ...settings, ...own });
  expect(config.warnings).toEqual([]);
  expect(config.archive).toMatchObject({
    target: { kind: 's3' },
    s3: { accessKey: `of-${names[0]}`, secretKey: `of-${names[1]}` },
  });
};

let keys = 0;

/** The daemon signs with these settings and a key of this mode. */
const expectSigner = (env: Readonly<Record<string, string>>, mode: number): void => {
  keys += 1;
  const key = join(folder, `key-${keys}.pem`);
  makeKeyFile(key);
  chmodSync(key, mode);
  const settings = { ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence', ...env, ORGTRAIL_EVIDENCE_KEY_FILE: key };
  expect(signerOf(load(settings).evidence)?.publicKey).toHaveLength(32);
};
