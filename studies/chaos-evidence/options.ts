import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { parseDurationMs } from '../../src/base/time.ts';

/** What a run is asked to do. */
export interface EvidenceChaosOptions {
  /** Of disruption: three fifths before the failover, the rest in the next log. */
  readonly durationMs: number;
  readonly seed: number;
  readonly leaseMs: number;
  readonly settleMs: number;
  /** Entries of the history. */
  readonly entries: number;
  /** New entries a second. */
  readonly liveRate: number;
  /** Checkpoints are kept in a directory as well, which the builders read. */
  readonly isAnchored: boolean;
  readonly json: boolean;
}

const help = `Usage: npm run lab chaos-evidence -- [--for 3m] [--seed N] [--lease 3s] [--settle 20s] [--entries 30000] [--live-rate 25] [--unanchored] [--json]

Three daemons that all build the evidence with one key are killed and stopped, PostgreSQL is crashed; then it fails over to a standby
that lacks signed checkpoints, an operator begins the next log, and all of it goes on. Every checkpoint that was visible outside is judged.

Exit codes: 0 all of them are consistent, nothing was signed between failover and the next log, the bundle verifies with both verifiers, and
no entry is lost; 1 something is not so, and logs and judgement stay in a folder; 2 usage.
`;

/** Reads the command line; leaves with 0 after --help, with 2 and a sentence on a bad one. */
export const readEvidenceChaosOptions = (args: readonly string[]): EvidenceChaosOptions => {
  try {
    const { values } = parseArgs({ args: [...args], options: flags });
    if (values.help) {
      process.stdout.write(help);
      process.exit(0);
    }
    return {
      durationMs: duration(values.for),
      seed: values.seed === undefined ? randomInt(1_000_000) : wholeNumber(values.seed),
      leaseMs: duration(values.lease),
      settleMs: duration(values.settle),
      entries: wholeNumber(values.entries),
      liveRate: wholeNumber(values['live-rate']),
      isAnchored: !values.unanchored,
      json: values.json,
    };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n${help}`);
    process.exit(2);
  }
};

const flags = {
  for: { type: 'string', default: '3m' },
  seed: { type: 'string' },
  lease: { type: 'string', default: '3s' },
  settle: { type: 'string', default: '20s' },
  entries: { type: 'string', default: '30000' },
  'live-rate': { type: 'string', default: '25' },
  unanchored: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const duration = (text: string): number => {
  const durationMs = parseDurationMs(text);
  if (durationMs === undefined) throw new Error(`${text} is not a duration such as 40s or 3m.`);
  return durationMs;
};

const wholeNumber = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`${text} is not an integer.`);
  return Number(text);
};
