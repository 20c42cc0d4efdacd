import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { objectLimits } from '../../src/archive/writing/write-objects.ts';
import { loadConfig } from '../../src/config/config.ts';
import { KUSTOMIZE, renderOverlay, schemaTrouble } from '../support/deploy/kubernetes-objects.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const hasKustomize = spawnSync(KUSTOMIZE, ['version']).status === 0;
const ANALYZE = 'systemd-analyze';
const hasSystemd = spawnSync(ANALYZE, ['--version']).status === 0;

const bucket = { ORGTRAIL_ARCHIVE: 's3://audit-archive/orgtrail?region=eu-central-1' };

describe.skipIf(!hasKustomize)('deploy/kubernetes/components/archive', () => {
  const render = (overlay: string) => {
    const objects = renderOverlay(overlay, ['archive']);
    const pod = objects.find(({ kind }) => kind === 'Deployment')?.spec?.template?.spec;
    const [container] = pod?.containers ?? [];
    return { objects, pod, container };
  };

  test.each(['try', 'replicas'])('gives the daemon of %s the keys, as files of a Secret of their own', (overlay) => {
    const { objects, pod, container } = render(overlay);
    for (const object of objects) expect(schemaTrouble(object), object.metadata.name).toEqual([]);
    const added = (container?.env ?? []).filter(({ name }) => name.startsWith('ORGTRAIL_ARCHIVE'));
    for (const { name, value = '' } of added) {
      const mount = container?.volumeMounts?.find(({ mountPath }) => value.startsWith(`${mountPath}/`));
      const secret = pod?.volumes?.find((volume) => volume.name === mount?.name)?.secret;
      expect(secret?.secretName, name).toBe('orgtrail-archive');
      expect(secret?.items?.map(({ path }) => path)).toContain(value.split('/').at(-1));
    }
    expectArchive({ ...bucket, ...Object.fromEntries(added.map(({ name, value = '' }) => [name, value])) });
    // What was there before is there still.
    expect(container?.volumeMounts?.map(({ name }) => name)).toContain('secrets');
    expect(container?.env?.map(({ name }) => name)).toContain('DATABASE_URL_FILE');
  });

  test.each(['try', 'replicas'])(
    'gives the daemon of %s a directory for the object in hand, on the disk',
    (overlay) => {
      const { pod, container } = render(overlay);
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
    },
  );

  test('the retention of the Job is set as docs/operations/kubernetes.md says', () => {
    const [, patches = ''] =
      /```yaml\n(patches:\n[^`]*orgtrail-migrate[^`]*)```/.exec(read('docs/operations/kubernetes.md')) ?? [];
    const { patches: more } = parse(patches) as { readonly patches: readonly unknown[] };
    const job = renderOverlay('replicas', ['archive'], more).find(({ kind }) => kind === 'Job');
    const env = job?.spec?.template?.spec.containers[0]?.env ?? [];
    expect(env.map(({ name }) => name)).toEqual(['DATABASE_URL_FILE', 'ORGTRAIL_RETENTION']);
  });
});

describe('deploy/compose/archive.yaml', () => {
  interface Service {
    readonly environment?: Readonly<Record<string, string>>;
    readonly secrets: readonly string[];
    readonly volumes: readonly string[];
    readonly tmpfs?: readonly string[];
    readonly ports?: readonly string[];
    readonly networks: readonly string[];
    readonly profiles?: readonly string[];
  }
  const file = parse(read('deploy/compose/archive.yaml')) as {
    readonly services: Readonly<Record<string, Service>>;
    readonly secrets: Readonly<Record<string, { readonly file: string }>>;
    readonly networks: Readonly<Record<string, { readonly internal: boolean }>>;
  };
  const { orgtrail, bucket: server } = file.services as { readonly orgtrail: Service; readonly bucket: Service };

  test('gives the daemon the keys as secrets, and a volume, which does not count as memory, as its temporary directory', () => {
    const { ORGTRAIL_ARCHIVE: given, ...keys } = orgtrail.environment ?? {};
    expect(given).toMatch(/^\$\{ORGTRAIL_ARCHIVE:\?/);
    expect(Object.values(keys)).toEqual(orgtrail.secrets.map((name) => `/run/secrets/${name}`));
    expectArchive({ ...bucket, ...keys });
    expect(orgtrail.volumes).toEqual(['archive-work:/tmp']);
    expect(orgtrail.tmpfs).toBeUndefined();
    const compose = parse(read('deploy/compose/compose.yaml')) as { services: { orgtrail: { mem_limit: string } } };
    expect(bytesOf(compose.services.orgtrail.mem_limit)).toBeGreaterThanOrEqual(MEMORY_BYTES);
  });

  test('its bucket is for trying: by a profile, on a network without a way out, with keys that make-secrets.sh makes', () => {
    expect(server.profiles).toEqual(['bucket']);
    expect(server.ports).toBeUndefined();
    expect(server.networks).toEqual(['bucket']);
    expect(file.networks['bucket']).toEqual({ internal: true });
    const made = read('deploy/compose/make-secrets.sh');
    for (const name of server.secrets) {
      expect(made).toContain(name);
      expect(file.secrets[name]).toEqual({ file: `./secrets/${name}` });
    }
    const settings = parseEnv(read('deploy/compose/bucket.env')) as Record<string, string>;
    expect(settings['COMPOSE_FILE']).toBe('compose.yaml:archive.yaml');
    expect(settings['COMPOSE_PROFILES']?.split(',')).toContain('bucket');
    const { ORGTRAIL_ARCHIVE: archive = '' } = settings;
    expectArchive({ ...orgtrail.environment, ORGTRAIL_ARCHIVE: archive });
    // The bucket that its script makes, at the port that it listens on.
    const script = read('deploy/compose/bucket/bucket.sh');
    expect(script).toContain(
      `http://127.0.0.1:${new URL(new URL(archive).searchParams.get('endpoint') ?? '').port}/${new URL(archive).hostname}`,
    );
  });
});

describe('deploy/systemd/archive.conf', () => {
  const dropIn = read('deploy/systemd/archive.conf');
  const unit = read('deploy/systemd/orgtrail.service');
  const valuesOf = (text: string, name: string): string[] =>
    [...text.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value);

  test('loads the credentials that its settings name, and puts the object in hand on the disk', () => {
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

  test.skipIf(!hasSystemd)('has no fault that systemd knows of, with its comments as lines too', () => {
    const folder = mkdtempSync(join(tmpdir(), 'orgtrail-manifests-'));
    try {
      const file = join(folder, 'orgtrail.service');
      writeFileSync(file, unit.replace('/usr/bin/node', process.execPath).replace(/^Documentation=.*\n/m, ''));
      mkdirSync(`${file}.d`);
      writeFileSync(join(`${file}.d`, 'archive.conf'), dropIn.replaceAll(/^#(?=\w+=)/gm, ''));
      const env = { ...process.env, SYSTEMD_UNIT_PATH: `${folder}:` };
      const { status, stdout, stderr } = spawnSync(ANALYZE, ['verify', file], { encoding: 'utf8', env });
      expect(stdout + stderr).toBe('');
      expect(status).toBe(0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

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

/** The settings are ones that there are, and lead to an archive with these keys. */
const expectArchive = (settings: Readonly<Record<string, string>>): void => {
  const folder = mkdtempSync(join(tmpdir(), 'orgtrail-manifests-'));
  try {
    const files = Object.keys(settings).filter((name) => name.endsWith('_FILE'));
    expect(files.sort()).toEqual(['ORGTRAIL_ARCHIVE_S3_ACCESS_KEY_FILE', 'ORGTRAIL_ARCHIVE_S3_SECRET_KEY_FILE']);
    const own = files.map((name) => {
      const file = join(folder, name);
      writeFileSync(file, `of-${name}\n`);
      return [name, file];
    });
    const config = loadConfig(
      { CLOUDFLARE_API_TOKEN: 'token', ORGTRAIL_RETENTION: '730d', ...settings, ...Object.fromEntries(own) },
      { needsCredential: true, interactive: false },
    );
    expect(config.warnings).toEqual([]);
    expect(config.archive).toMatchObject({
      target: { kind: 's3' },
      s3: { accessKey: `of-${files[0]}`, secretKey: `of-${files[1]}` },
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
