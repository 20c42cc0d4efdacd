import { EvidenceFault } from '../evidence-fault.ts';
import { type EventLeaf, readEventLeaf } from '../leaves/leaf.ts';
import { bytesOfBase64 } from '../notes/base64.ts';
import { instantOf } from './proven-event.ts';

/*
 * A bundle of a search: events that a question found, each with the proof that it is in the log. It says nothing of other events, so
 * it has neither tiles nor statements.
 */

/** The files of such a bundle. That it has `query.json` makes it one. */
export const foundFiles = {
  readme: 'README.txt',
  query: 'query.json',
  events: 'events.ndjson',
  completeness: 'completeness.json',
  /** Missing, as the two below, if nothing is signed. */
  proofs: 'proofs.ndjson',
  checkpoint: 'checkpoint',
  policy: 'policy.txt',
  /** The second verifier. */
  verifier: 'verify.py',
} as const;

/** What a line of `events.ndjson` says beside the content: all of it is in the leaf as well. */
export interface EventWords {
  readonly position: number;
  readonly received_at: string;
  /** Null if the entry has none, or one that RFC 3339 cannot say. */
  readonly action_time: string | null;
  readonly source_kind: string;
  readonly source_id: string;
  readonly organization_id: string | null;
  readonly id: string;
  readonly defects: readonly string[];
}

/** What a leaf says, in these words. */
export const wordsOfLeaf = (leaf: EventLeaf): EventWords => ({
  position: leaf.position,
  received_at: instantOf(leaf.receivedAtUs),
  action_time: leaf.actionTimeUs === undefined ? null : sayable(instantOf(leaf.actionTimeUs)),
  source_kind: leaf.sourceKind,
  source_id: leaf.sourceId,
  organization_id: leaf.organizationId ?? null,
  id: leaf.id,
  defects: leaf.defects,
});

const sayable = (instant: string): string | null => (/^\d{4}-/.test(instant) ? instant : null);

/**
 * A line of `events.ndjson`, without its line feed. The content is at its end, to the byte; if it has line breaks, which JSON has between
 * its tokens alone, they are spaces there, and `raw_text` has the exact text.
 */
export const writeEventLine = (words: EventWords, raw: string): string => {
  const head = JSON.stringify(words).slice(0, -1);
  return /[\r\n]/.test(raw)
    ? `${head},"raw_text":${JSON.stringify(raw)},"raw":${raw.replace(/[\r\n]/g, ' ')}}`
    : `${head},"raw":${raw}}`;
};

/** The exact content in a line that must have these words. Throws an EvidenceFault if the line says anything else. */
export const rawOfLine = (line: string, words: EventWords): string => {
  const head = `${JSON.stringify(words).slice(0, -1)},`;
  if (!line.startsWith(head)) throw new EvidenceFault('its words are not those of the leaf');
  const rest = line.slice(head.length);
  const raw = rest.startsWith('"raw":') ? rest.slice('"raw":'.length, -1) : exactText(rest);
  if (writeEventLine(words, raw) !== line) throw new EvidenceFault('the line is not as it is written');
  return raw;
};

const exactText = (rest: string): string => {
  try {
    const { raw_text: raw } = JSON.parse(`{${rest}`) as { readonly raw_text?: unknown };
    if (typeof raw === 'string') return raw;
  } catch {}
  throw new EvidenceFault('the line has no content');
};

/** A line of `proofs.ndjson`: the event on the same line of `events.ndjson`, its leaf, and the way from there to the root. */
export interface LeafProof {
  readonly position: number;
  /** Undefined if it is not signed. */
  readonly signed: { readonly leaf: Buffer; readonly hashes: readonly Buffer[] } | undefined;
}

/** Without its line feed. */
export const writeProofLine = ({ position, signed }: LeafProof): string =>
  JSON.stringify({
    position,
    leaf: signed?.leaf.toString('base64') ?? null,
    ...(signed && { hashes: signed.hashes.map((hash) => hash.toString('base64')) }),
  });

/** Reads such a line. Throws an EvidenceFault for anything else, and if the leaf is of another position. */
export const readProofLine = (line: string): LeafProof => {
  const { position, leaf, hashes } = parsed(line);
  if (typeof position !== 'number') throw new EvidenceFault('a proof has no position');
  if (leaf === null) return { position, signed: undefined };
  if (typeof leaf !== 'string' || !Array.isArray(hashes)) throw new EvidenceFault('a proof has leaf and hashes');
  const signed = {
    leaf: bytesOfBase64(leaf, 'the leaf'),
    hashes: hashes.map((hash) => bytesOfBase64(String(hash), 'a hash of the proof')),
  };
  if (readEventLeaf(signed.leaf).position !== position) throw new EvidenceFault('the leaf is of another position');
  return { position, signed };
};

const parsed = (line: string): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {}
  throw new EvidenceFault('it is no object of JSON');
};
