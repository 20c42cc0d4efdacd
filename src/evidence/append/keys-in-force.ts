import { unlessFault } from '../bytes.ts';
import { readStatement, type Statement, type StatementOf } from '../journal/statement.ts';
import { keyOfLog } from '../notes/checkpoint.ts';
import type { VerifierKey } from '../notes/signed-note.ts';

/** Statements `begin` and `key`, in their order. */
export type KeyHistory = readonly (StatementOf<'begin'> | StatementOf<'key'>)[];

/** Ordered, and not stated yet. */
export interface KeyOrder {
  readonly id: number;
  readonly reason: StatementOf<'key'>['reason'];
  /** In hexadecimal, as all keys here. */
  readonly newKey: string;
  /** How long the old key may sign as well, from the statement on. */
  readonly bothForMs: number;
  readonly by: string;
}

export interface KeyState {
  readonly history: KeyHistory;
  readonly order: KeyOrder | undefined;
}

export interface KeysInForce {
  /** Undefined before the first statement. */
  readonly key: string | undefined;
  /** May sign as well, until then. */
  readonly old: { readonly key: string; readonly until: string } | undefined;
}

export const keyHistory = (texts: readonly string[]): KeyHistory =>
  texts.flatMap((text) => {
    const statement = statementOf(text);
    return statement?.type === 'begin' || statement?.type === 'key' ? [statement] : [];
  });

/** Undefined for a text that cannot be read: that it was changed is for a verifier to say. */
export const statementOf = (text: string): Statement | undefined => {
  const read = unlessFault(() => readStatement(text));
  return read?.known === true ? read.statement : undefined;
};

/** Those of the last statement. */
export const keysInForce = (history: KeyHistory, at: string): KeysInForce => {
  const last = history.at(-1);
  if (last?.type !== 'key') return { key: last?.key, old: undefined };
  const { old, old_signs_until: until } = last;
  return { key: last.new, old: until !== null && at < until ? { key: old, until } : undefined };
};

export const everyKey = (history: KeyHistory): string[] => [
  ...new Set(history.map((one) => (one.type === 'begin' ? one.key : one.new))),
];

export const stolenKeys = (history: KeyHistory): string[] =>
  history.flatMap((one) => (one.type === 'key' && one.reason === 'compromised' ? [one.old] : []));

/** Every key that ever signed, under this name; none that was stolen, as of `signed`. */
export const verifierKeys = (
  history: KeyHistory,
  origin: string,
  own: readonly Uint8Array[] = [],
  signed: KeyHistory = history,
): VerifierKey[] => {
  const stolen = stolenKeys(signed);
  const keys = [...own.map((key) => Buffer.from(key).toString('hex')), ...everyKey(history)];
  return [...new Set(keys)]
    .filter((key) => !stolen.includes(key))
    .map((key) => keyOfLog(origin, Buffer.from(key, 'hex')));
};
