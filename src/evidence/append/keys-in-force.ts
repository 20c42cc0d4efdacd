import { unlessFault } from '../bytes.ts';
import type { Statement, StatementOf } from '../journal/statement.ts';
import { readStatement } from '../journal/statement-text.ts';
import { parseVerifierKey } from '../notes/signed-note.ts';

export interface KeyHistory {
  /** Of both logs; none before the first statement. */
  readonly first: readonly string[];
  readonly changes: readonly Pick<
    StatementOf<'key'>,
    'reason' | 'old_vkeys' | 'new_vkeys' | 'first_size' | 'old_signs_until'
  >[];
  /** As the fork names them. */
  readonly earlier: readonly string[];
  readonly earlierStolen: readonly string[];
}

/** Ordered, and not yet in the journal. */
export interface KeyOrder {
  readonly id: number;
  readonly reason: StatementOf<'key'>['reason'];
  readonly newVkeys: readonly string[];
  /** How long the old key signs as well, from the statement on. */
  readonly bothForMs: number;
  readonly by: string;
}

export interface KeyState {
  readonly history: KeyHistory;
  readonly order: KeyOrder | undefined;
}

export interface KeysInForce {
  readonly vkeys: readonly string[];
  /** When the old key stops to sign. */
  readonly until: string | undefined;
}

/** Reads statements `genesis`, `fork` and `key`, in their order. */
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

/** Without texts that cannot be read: that they were changed is for a verifier to say. */
export const statementsOf = (texts: readonly string[]): Statement[] => texts.flatMap((text) => statementOf(text) ?? []);

export const statementOf = (text: string): Statement | undefined => {
  const read = unlessFault(() => readStatement(text));
  return read?.known === true ? read.statement : undefined;
};

/** After a loss or a theft the new key signs alone, whatever was stated before. */
export const keysInForce = ({ first, changes }: KeyHistory, at: string): KeysInForce => {
  const last = changes.at(-1);
  if (last === undefined) return { vkeys: first, until: undefined };
  const { new_vkeys, old_vkeys, old_signs_until: until } = last;
  if (until === undefined || Date.parse(at) >= Date.parse(until)) return { vkeys: new_vkeys, until: undefined };
  return { vkeys: [...new Set([...old_vkeys, ...new_vkeys])], until };
};

export const everyKey = ({ first, changes }: KeyHistory): string[] => [
  ...new Set([...first, ...changes.flatMap(({ old_vkeys, new_vkeys }) => [...old_vkeys, ...new_vkeys])]),
];

export const everyKeySoFar = (history: KeyHistory): string[] => [
  ...new Set([...history.earlier, ...everyKey(history)]),
];

export const bytesOfKeys = (vkeys: readonly string[]): Uint8Array[] =>
  vkeys.map((vkey) => parseVerifierKey(vkey).publicKey);

export const stolenKeys = ({ changes }: KeyHistory): string[] =>
  changes.filter(({ reason }) => reason === 'compromised').flatMap(({ old_vkeys }) => old_vkeys);
