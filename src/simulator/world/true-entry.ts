import { readFacts } from '../faults/entry-defects.ts';
import type { AuditLog } from './audit-log.ts';
import { timeText } from './entry-text.ts';
import type { SourceKind, SourceRef } from './source.ts';

/** One entry as it was born, and what came of it. */
export interface TrueEntry {
  readonly sourceKind: SourceKind;
  /** Id of the organization or the account in whose log it stands. */
  readonly sourceId: string;
  /** Null when the entry has none that a text column could hold. */
  readonly id: string | null;
  /** Lower-case hexadecimal, of the exact text of the element (UTF-8) as it was first served. */
  readonly sha256: string;
  /** `action.time` as written in the entry; null when it is missing or no date. */
  readonly actionTime: string | null;
  /** The time by which the log orders and selects the entry, for every entry. Milliseconds since the epoch. */
  readonly logTimeMs: number;
  /** sha256 of later texts under the same id (fault `changed_content`), oldest first. */
  readonly changes: readonly string[];
  /** The exact text. */
  raw(): string;
}

/** What is true of the entry with this number in the log. */
export function trueEntry(
  { kind, id }: SourceRef,
  log: AuditLog,
  seq: number,
  sha256: (text: string) => string,
): TrueEntry {
  const text = log.originalText(seq);
  const logTimeMs = log.timeMs(seq);
  // Reading a million plain entries takes seconds; their id is where it always is.
  const facts = log.isPlain(seq)
    ? { id: text.slice(7, text.indexOf('"', 7)), actionTime: timeText(logTimeMs) }
    : readFacts(text);
  return {
    sourceKind: kind,
    sourceId: id,
    ...facts,
    sha256: sha256(text),
    logTimeMs,
    changes: log.revisions(seq).map(sha256),
    raw: () => log.originalText(seq),
  };
}
