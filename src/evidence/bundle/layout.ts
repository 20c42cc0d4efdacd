import { z } from 'zod';
import { EvidenceFault, textOf } from '../bytes.ts';
import { instant } from '../journal/statement.ts';
import { readStrictJson } from '../journal/strict-json.ts';

/* Chapter 6 of FORMAT.txt: the files of a bundle. */

export const bundleFiles = {
  readme: 'README.txt',
  format: 'FORMAT.txt',
  verifier: 'verify.py',
  policy: 'policy.txt',
  checkpoint: 'checkpoint',
  selection: 'selection.json',
  statements: 'statements.ndjson',
  /** Missing if it would have no line. */
  reads: 'reads.ndjson',
} as const;

export const requiredFiles: readonly string[] = Object.values(bundleFiles).filter((name) => name !== 'reads.ndjson');

export const ANCHORS_FOLDER = 'anchors/';
export const LEAVES_FOLDER = 'leaves/';
/** `anchors/1-4711` */
export const anchorPath = /^anchors\/[a-z0-9._-]+$/;
const leavesPath = /^leaves\/(\d{6,11})\.bin(\.gz)?$/;

/** Leaves that share a file of records: that of the first index of a record counts. */
export const LEAVES_PER_FILE = 65_536;

/** `leaves/000000.bin` */
export const leavesFile = (number: number, isPacked: boolean): string =>
  `${LEAVES_FOLDER}${String(number).padStart(6, '0')}.bin${isPacked ? '.gz' : ''}`;

export interface LeavesFile {
  readonly path: string;
  readonly number: number;
  readonly isPacked: boolean;
}

/** Undefined for a name that no such file has. */
export const readLeavesPath = (path: string): LeavesFile | undefined => {
  const [, digits, packed] = leavesPath.exec(path) ?? [];
  const number = Number(digits);
  const isPacked = packed !== undefined;
  return digits !== undefined && leavesFile(number, isPacked) === path ? { path, number, isPacked } : undefined;
};

/** Reads a bundle, wherever it is. Nothing is kept: each file is read twice at most, to be hashed and to be read. */
export interface BundleReader {
  readonly paths: readonly string[];
  /** Links, pipes: in no `paths`, and never read. */
  readonly others: readonly string[];
  /** In hexadecimal, of the file as it is. */
  sha256(path: string): Promise<string>;
  /** A piece is valid until the next one. `isPacked`: unpacked; an EvidenceFault for what is not one member of gzip without flags. */
  pieces(path: string, isPacked?: boolean): AsyncIterable<Buffer>;
}

/** What a bundle discloses. */
export interface Selection {
  /** The number of a source; null: of all. */
  readonly source: number | null;
  /** [since, before): of the time when an event happened. */
  readonly since: string | null;
  readonly before: string | null;
  /** The words of a search; null: none. */
  readonly query: string | null;
}

const selection = z.strictObject({
  source: z.int().min(1).max(0xffff_ffff).nullable(),
  since: instant.nullable(),
  before: instant.nullable(),
  query: z.string().nullable(),
});

export const writeSelection = ({ source, since, before, query }: Selection): string =>
  `${JSON.stringify({ source, since, before, query })}\n`;

/** Throws an EvidenceFault. */
export const readSelection = (bytes: Uint8Array): Selection => {
  const result = selection.safeParse(readStrictJson(textOf(bytes, 'it'), 'it'));
  if (!result.success) throw new EvidenceFault('it has not source, since, before and query alone');
  const { since, before } = result.data;
  if (since !== null && before !== null && since >= before) throw new EvidenceFault('it is an empty time');
  return result.data;
};

export type Kind = 'everything' | 'source' | 'time' | 'search';

/** Which column of the table of selections counts; `time` may be of one source. */
export const kindOf = ({ source, since, before, query }: Selection): Kind => {
  if (query !== null) return 'search';
  if (since !== null || before !== null) return 'time';
  return source === null ? 'everything' : 'source';
};

const LIST = 'FILES';

/** The end of README.txt, which `sha256sum` reads. */
export const writeList = (files: Iterable<readonly [path: string, sha256: string]>): string =>
  `${LIST}\n${[...files]
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([path, hash]) => `${hash}  ${path}\n`)
    .join('')}`;

/** By path. Throws an EvidenceFault. */
export const readList = (readme: Uint8Array): ReadonlyMap<string, string> => {
  const lines = textOf(readme, 'it').split('\n');
  const start = lines.lastIndexOf(LIST);
  if (start < 0 || lines.pop() !== '') throw new EvidenceFault(`it does not end with a line ${LIST} and a list`);
  const files = new Map<string, string>();
  let before = Buffer.alloc(0);
  for (const line of lines.slice(start + 1)) {
    const [, hash, path] = /^([0-9a-f]{64}) {2}(.+)$/.exec(line) ?? [];
    if (hash === undefined || path === undefined) throw new EvidenceFault('its list has a line that names no file');
    const name = Buffer.from(path);
    if (Buffer.compare(before, name) >= 0) throw new EvidenceFault(`its list does not ascend at ${path}`);
    files.set(path, hash);
    before = name;
  }
  return files;
};
