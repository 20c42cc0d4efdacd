import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));

/** Tests start processes from the bundle, as users do: made once, before all of them, if it is not of today. */
export default function setup(): void {
  execFileSync(process.execPath, ['scripts/bundle.ts', '--if-stale'], { cwd: checkout, stdio: 'inherit' });
}
