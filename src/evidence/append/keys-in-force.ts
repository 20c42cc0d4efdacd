import { EvidenceFault } from '../bytes.ts';
import type { Statement, StatementOf } from '../journal/statement.ts';
import { readStatement } from '../journal/statement-text.ts';
import { parseVerifierKey } from '../notes/signed-note.ts';

/** What the journal of a generation says of keys. */
export interface KeyHistory {
  /** The keys of both logs that it began with; none before its first statement. */
  readonly first: readonly string[];
  readonly changes: readonly Pick<
    StatementOf<'key'>,
    'reason' | 'old_vkeys' | 'new_vkeys' | 'first_size' | 'old_signs_until'
  >[];
  /** Keys of earlier generations, as the fork names them, and those of them that were stolen. */
  readonly earlier: readonly string[];
  readonly earlierStolen: readonly string[];
}

/** What an operator has ordered, and what the journal does not have yet. */
export interface KeyOrder {
  readonly id: number;
  readonly reason: StatementOf<'key'>['reason'];
  readonly newVkeys: readonly string[];
  /** So long the old key signs as well, from the statement on. */
  readonly bothForMs: number;
  readonly by: string;
}

export interface KeyState {
  readonly history: KeyHistory;
  readonly order: KeyOrder | undefined;
}

/** The keys that sign at a moment, all of them. */
export interface KeysInForce {
  readonly vkeys: readonly string[];
  /** Until when the old key is one of them. */
  readonly until: string | undefined;
}

/** Reads statements `genesis`, `fork` and `key` in their order; others say nothing of keys. */
export const keyHistory = (texts: readonly string[]): KeyHistory => {
  const statements = statementsOf(texts);
  const first = statements.flatMap((one) => (one.type === 'genesis' || one.type === 'fork' ? (one.vkeys ?? []) : []));
  const forks = statements.filter((one) => one.type === 'fork');
  return {
    first: [...new Set(first)],
    changes: statements.filter((one) => one.type === 'key'),
    earlier: forks.flatMap((one) => one.old_vkeys ?? []),
    earlierStolen: forks.flatMap((one) => one.stolen_vkeys ?? []),
  };
};

/** None of a text that cannot be read: that it was changed is for a verifier to say. */
export const statementsOf = (texts: readonly string[]): Statement[] => texts.flatMap(statementOf);

const statementOf = (text: string): Statement[] => {
  try {
    const read = readStatement(text);
    return read.known ? [read.statement] : [];
  } catch (error) {
    if (error instanceof EvidenceFault) return [];
    throw error;
  }
};

/** At a moment by the clock of the database. After a loss or a theft the new key signs alone, whatever was stated before. */
export const keysInForce = ({ first, changes }: KeyHistory, at: string): KeysInForce => {
  const last = changes.at(-1);
  if (last === undefined) return { vkeys: first, until: undefined };
  const { new_vkeys, old_vkeys, old_signs_until: until } = last;
  if (until === undefined || Date.parse(at) >= Date.parse(until)) return { vkeys: new_vkeys, until: undefined };
  return { vkeys: [...new Set([...old_vkeys, ...new_vkeys])], until };
};

/** Every key that was ever one of this log. */
export const everyKey = ({ first, changes }: KeyHistory): string[] => [
  ...new Set([...first, ...changes.flatMap(({ old_vkeys, new_vkeys }) => [...old_vkeys, ...new_vkeys])]),
];

/** Every key of this generation and of those before it. */
export const everyKeySoFar = (history: KeyHistory): string[] => [
  ...new Set([...history.earlier, ...everyKey(history)]),
];

/** The bytes of keys. */
export const bytesOfKeys = (vkeys: readonly string[]): Uint8Array[] =>
  vkeys.map((vkey) => parseVerifierKey(vkey).publicKey);

/** Those that were stolen. */
export const stolenKeys = ({ changes }: KeyHistory): string[] =>
  changes.filter(({ reason }) => reason === 'compromised').flatMap(({ old_vkeys }) => old_vkeys);
