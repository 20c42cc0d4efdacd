import { execFileSync, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Tests that end nothing for so long hang; as many times that as programs wait for a core. */
const SILENCE_MS = 120_000;
const LOOK_EVERY_MS = 5_000;

export interface RunResult {
  readonly outcome: 'green' | 'red' | 'set-up failed' | 'hangs';
  /** `file: name of the test`, those that failed. */
  readonly failed: readonly string[];
  readonly output: string;
}

/** A copy of the files that git knows, with links to the packages, in the system's temporary directory. */
export class ThrowawayCopy {
  readonly path = mkdtempSync(join(tmpdir(), 'orgtrail-mutants-'));
  #child: number | undefined;

  constructor(checkout: string) {
    const git = (cwd: string, ...args: string[]) => execFileSync('git', args, { cwd, encoding: 'utf8' });
    for (const file of git(checkout, 'ls-files', '-z').split('\0')) {
      if (file !== '' && existsSync(join(checkout, file)))
        cpSync(join(checkout, file), join(this.path, file), { recursive: true, verbatimSymlinks: true });
    }
    // Not one link to all of them: what vitest keeps among them belongs to the copy.
    for (const folder of ['node_modules', 'tmp']) mkdirSync(join(this.path, folder));
    for (const name of readdirSync(join(checkout, 'node_modules'))) {
      if (!name.startsWith('.vite'))
        symlinkSync(join(checkout, 'node_modules', name), join(this.path, 'node_modules', name));
    }
    // Servers run as another user.
    execFileSync('chmod', ['755', this.path]);
    execFileSync('chmod', ['1777', join(this.path, 'tmp')]);
    execFileSync(process.execPath, ['scripts/bundle.ts'], { cwd: this.path });
    git(this.path, 'init', '-q');
    git(this.path, 'add', '-A');
  }

  /** Runs these files of tests; `bail`: up to the first red one. `withBundle`: one of them needs that of the sources as they are now. */
  async run(files: readonly string[], { bail = false, withBundle = true } = {}): Promise<RunResult> {
    // The set-up of tests bundles if this is older than a source.
    const bundledAt = withBundle ? 0 : Date.now() / 1_000 + 1_000_000;
    utimesSync(join(this.path, 'dist/orgtrail.js'), bundledAt, bundledAt);
    const report = join(this.path, 'tmp', 'report.json');
    rmSync(report, { force: true });
    const args = [
      'run',
      ...files,
      ...(bail ? ['--bail=1'] : []),
      '--teardownTimeout=20000',
      '--reporter=verbose',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ];
    const child = spawn(process.execPath, [join(this.path, 'node_modules/vitest/vitest.mjs'), ...args], {
      cwd: this.path,
      detached: true,
      env: {
        ...process.env,
        TMPDIR: join(this.path, 'tmp'),
        TEST_POSTGRES: process.env['TEST_POSTGRES'] ?? 'embedded',
        NO_COLOR: '1',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child.pid;
    let output = '';
    let hangs = false;
    let heardMs = performance.now();
    const looking = setInterval(() => {
      const waiting = Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());
      if (performance.now() - heardMs < SILENCE_MS * waiting) return;
      hangs = true;
      this.kill();
    }, LOOK_EVERY_MS);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        output += text;
        heardMs = performance.now();
      });
    }
    const code = await new Promise((resolve) => child.on('close', resolve));
    clearInterval(looking);
    // What a set-up that failed has started.
    this.kill();
    const failed = existsSync(report) ? failedTests(JSON.parse(readFileSync(report, 'utf8')), this.path) : [];
    const outcome = hangs ? 'hangs' : code === 0 ? 'green' : failed.length > 0 ? 'red' : 'set-up failed';
    return { outcome, failed, output };
  }

  /** Ends the tests that run, and all that they have started. */
  kill(): void {
    const ours = readdirSync('/proc').filter(
      (pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid && environmentOf(pid).includes(`${this.path}/tmp`),
    );
    for (const pid of [...ours.map(Number), ...(this.#child === undefined ? [] : [-this.#child])]) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  async remove(): Promise<void> {
    this.kill();
    await sleep(500);
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }
}

const environmentOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    return '';
  }
};

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    /** Why no test of the file ran; empty if another one was red first. */
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

const failedTests = ({ testResults }: Report, root: string): string[] => {
  const failures = testResults.flatMap(({ name, message, assertionResults }) => {
    const failed = assertionResults.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName);
    const all = failed.length === 0 && message !== '' ? ['all of it'] : failed;
    return all.map((test) => `${name.replace(`${root}/`, '')}: ${test}`);
  });
  return failures.sort((a, b) => Number(a.endsWith(': all of it')) - Number(b.endsWith(': all of it')));
};
