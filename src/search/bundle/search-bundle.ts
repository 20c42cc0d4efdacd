import type { ProvenUnder } from '../../evidence/export/prove-leaves.sql.ts';
import type { ShownEvidence } from '../../evidence/shown/shown-evidence.ts';
import type { SearchSource } from '../ports.ts';
import type { SearchReading } from '../search.ts';
import type { Completeness } from './completeness.ts';

/** Who asked, as far as that is known. */
interface AskedBy {
  readonly by: 'console' | 'command';
  /** Of a token, or of the account of the database; null: open on loopback. */
  readonly name: string | null;
}

export interface SearchBundleParts {
  readonly source: SearchSource;
  readonly evidence: Pick<ShownEvidence, 'status' | 'proveAll'> | undefined;
  /** Without faults, organization and account as ids. */
  readonly reading: SearchReading;
  readonly askedBy: AskedBy;
  /** Of orgtrail. */
  readonly version: string;
  /** The newest so many events, and so many bytes of them, are in it; it says if older ones are left out. */
  readonly maxEvents: number;
  readonly maxEventBytes: number;
  /** Of the console that was asked, as `https://audit.example.com`. */
  readonly origin?: string;
  readonly nowMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** What a bundle has. */
export interface SearchBundle {
  readonly events: number;
  readonly unsigned: number;
  readonly completeness: Completeness;
  /** Undefined: nothing is signed. */
  readonly under: ProvenUnder | undefined;
}
