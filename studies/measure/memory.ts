// Measures the peak resident memory of the real process (`orgtrail sync`), case by case, and prints a table.
// Not a test: figures depend on the machine. `npm run lab memory`
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startEmbeddedServer } from '../../src/postgres/embedded-server.ts';
import type { Simulator } from '../../src/simulator/interface.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';

const main = fileURLToPath(new URL('../../dist/orgtrail.js', import.meta.url));
const cases = [
  { name: '200 organizations, 200,000 entries, all faults', organizations: 200, entries: 200_000, faults: 'all' },
  { name: '5,000 organizations, 20,000 entries, no faults', organizations: 5_000, entries: 20_000, faults: 'none' },
] as const;

const residentMb = async (pid: number, field: 'VmHWM' | 'VmRSS'): Promise<number | undefined> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kilobytes = new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) / 1_024;
};

const measure = async (simulator: Simulator, databaseUrl: string) => {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [main, 'sync', '--json'], {
    env: {
      PATH: process.env['PATH'],
      NODE_OPTIONS: process.env['MEASURED_NODE_OPTIONS'] ?? '',
      CLOUDFLARE_API_TOKEN: 'token-of-the-measurement',
      CLOUDFLARE_BASE_URL: simulator.baseUrl,
      DATABASE_URL: databaseUrl,
      ORGTRAIL_API_BUDGET: '10000000',
      ORGTRAIL_LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  let peakMb = 0;
  const sampler = setInterval(async () => {
    peakMb = Math.max(peakMb, (await residentMb(child.pid ?? 0, 'VmHWM')) ?? 0);
  }, 50);
  const [code] = await once(child, 'close');
  clearInterval(sampler);
  return { code, peakMb, seconds: (performance.now() - startedAt) / 1_000, result: JSON.parse(output) };
};

const directory = await mkdtemp(join(tmpdir(), 'orgtrail-memory-'));
try {
  for (const { name, organizations, entries, faults } of cases) {
    const server = await startEmbeddedServer(join(directory, String(organizations)));
    const simulator = await startSimulator({ organizations, entries, faults, budget: null });
    for (const round of ['first sync', 'second sync']) {
      const { code, peakMb, seconds, result } = await measure(simulator, server.url);
      console.log(
        `${name} · ${round}: peak RSS ${peakMb.toFixed(0)} MB · ${seconds.toFixed(1)} s · exit ${code} · ${result.stored} stored`,
      );
    }
    await simulator.close();
    await server.stop();
  }
} finally {
  await rm(directory, { recursive: true, force: true });
}
