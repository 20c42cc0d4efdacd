import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generated } from './documents/generated.ts';

// Writes the files that are made from the code. `--check` writes nothing, and fails if one of them is not of today.
const isCheck = process.argv.includes('--check');
const stale: string[] = [];
for (const [path, make] of Object.entries(generated)) {
  const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
  mkdirSync(dirname(file), { recursive: true });
  const text = await make();
  if (read(file) === text) continue;
  if (isCheck) stale.push(path);
  else writeFileSync(file, text);
  if (!isCheck) console.log(`wrote ${path}`);
}
for (const path of stale) console.error(`${path} is not of today: run \`npm run generate\``);
process.exitCode = stale.length === 0 ? 0 : 1;

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
