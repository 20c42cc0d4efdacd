import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { signerOf } from '../../src/app/evidence/start-evidence.ts';
import { loadConfig } from '../../src/config/config.ts';
import { makeKeyFile } from '../../src/evidence/keys/key-file.ts';
import { KUSTOMIZE, renderOverlay, schemaTrouble } from '../support/deploy/kubernetes-objects.ts';

const read = (path: string): string => readFileSync(new URL(`../../deploy/${path}`, import.meta.url), 'utf8');
const hasKustomize = spawnSync(KUSTOMIZE, ['version']).status === 0;
const ANALYZE = 'systemd-analyze';
const hasSystemd = spawnSync(ANALYZE, ['--version']).status === 0;

describe.skipIf(!hasKustomize)('deploy/kubernetes/components/evidence', () => {
  test.each(['try', 'replicas'])('gives the daemon of %s the key, as a file that it takes', (overlay) => {
    const objects = renderOverlay(overlay, ['evidence']);
    for (const object of objects) expect(schemaTrouble(object), object.metadata.name).toEqual([]);
    const pod = objects.find(({ kind }) => kind === 'Deployment')?.spec?.template?.spec;
    const [container] = pod?.containers ?? [];
    const file = container?.env?.find(({ name }) => name === 'ORGTRAIL_EVIDENCE_KEY_FILE')?.value ?? '';
    const mount = container?.volumeMounts?.find(({ mountPath }) => file.startsWith(`${mountPath}/`));
    const secret = pod?.volumes?.find(({ name }) => name === mount?.name)?.secret;
    expect(secret).toMatchObject({ secretName: 'orgtrail-evidence', items: [{ path: file.split('/').at(-1) }] });
    const { defaultMode } = secret as unknown as { readonly defaultMode: number };
    expectSigner({}, defaultMode);
    // What was there before is there still.
    expect(container?.volumeMounts?.map(({ name }) => name)).toContain('secrets');
    expect(container?.env?.map(({ name }) => name)).toContain('DATABASE_URL_FILE');
  });
});

test('deploy/compose/evidence.yaml adds to the daemon settings that there are, its secret and a directory as the anchor', () => {
  const { services, secrets } = parse(read('compose/evidence.yaml')) as {
    readonly services: Readonly<
      Record<string, { readonly environment: Record<string, string>; secrets: string[]; volumes: string[] }>
    >;
    readonly secrets: Readonly<Record<string, { readonly file: string }>>;
  };
  expect(Object.keys(services)).toEqual(['orgtrail']);
  const { environment, secrets: used, volumes } = services['orgtrail'] as (typeof services)[string];
  expect(environment['ORGTRAIL_EVIDENCE_KEY_FILE']).toBe(`/run/secrets/${used[0]}`);
  expect(secrets).toEqual({ evidence_key: { file: './secrets/evidence_key' } });
  expect(volumes[0]).toMatch(/:\/anchor$/);
  const [, anchors = ''] = /:-(.*)\}$/.exec(environment['ORGTRAIL_EVIDENCE_ANCHORS'] ?? '') ?? [];
  expect(anchors).toBe('file:/anchor');
  expectSigner({ ORGTRAIL_EVIDENCE_ANCHORS: anchors }, 0o400);
});

describe('deploy/systemd/evidence.conf', () => {
  const dropIn = read('systemd/evidence.conf');

  test('loads the credential that the setting names', () => {
    const [, loaded] = /^LoadCredential=([^:]+):/m.exec(dropIn) ?? [];
    expect(dropIn).toContain(`\nEnvironment=ORGTRAIL_EVIDENCE_KEY_FILE=%d/${loaded}\n`);
    // systemd gives a service its credentials with this mode.
    expectSigner({}, 0o440);
  });

  test.skipIf(!hasSystemd)('has no fault that systemd knows of, with its comments as lines too', () => {
    withFolder((folder) => {
      const unit = read('systemd/orgtrail.service').replace('/usr/bin/node', process.execPath);
      const file = join(folder, 'orgtrail.service');
      writeFileSync(file, unit.replace(/^Documentation=.*\n/m, ''));
      mkdirSync(`${file}.d`);
      writeFileSync(join(`${file}.d`, 'evidence.conf'), dropIn.replaceAll(/^#(?=\w+=)/gm, ''));
      expect(statSync(join(`${file}.d`, 'evidence.conf')).size).toBeLessThan(dropIn.length);
      const env = { ...process.env, SYSTEMD_UNIT_PATH: `${folder}:` };
      const { status, stdout, stderr } = spawnSync(ANALYZE, ['verify', file], { encoding: 'utf8', env });
      expect(stdout + stderr).toBe('');
      expect(status).toBe(0);
    });
  });
});

const withFolder = (work: (folder: string) => void): void => {
  const folder = mkdtempSync(join(tmpdir(), 'orgtrail-manifests-'));
  try {
    work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/** The daemon signs with these settings and a key of this mode. */
const expectSigner = (env: Readonly<Record<string, string>>, mode: number): void => {
  withFolder((folder) => {
    const key = join(folder, 'key.pem');
    makeKeyFile(key);
    chmodSync(key, mode);
    const config = loadConfig(
      {
        CLOUDFLARE_API_TOKEN: 'token',
        ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
        ...env,
        ORGTRAIL_EVIDENCE_KEY_FILE: key,
      },
      { needsCredential: true, interactive: false },
    );
    expect(signerOf(config.evidence)?.publicKey).toHaveLength(32);
  });
};
