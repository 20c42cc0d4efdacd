import { EvidenceFault } from '../evidence-fault.ts';
import { readStatement } from '../journal/statement-text.ts';
import { type Policy, type Witness, writePolicy } from '../notes/policy.ts';
import { parseVerifierKey, printVerifierKey, type VerifierKey } from '../notes/verifier-key.ts';
import { whoSigned } from '../notes/who-signed.ts';

/**
 * policy.txt: the keys that signed these notes, of those that the journal names and those of this process. While two keys sign it has both;
 * later the new one alone. With `origin` those of one log.
 */
export const bundlePolicy = (
  statements: readonly string[],
  own: readonly VerifierKey[],
  {
    notes,
    origin,
    witnesses = [],
  }: { readonly notes: readonly string[]; readonly origin?: string; readonly witnesses?: readonly Witness[] },
): { readonly text: string; readonly vkeys: readonly string[]; readonly policy: Policy } => {
  const keys = new Map([...own, ...statements.flatMap(keysOf)].map((key) => [printVerifierKey(key), key]));
  const logs = whoSigned(
    notes,
    [...keys.values()].filter(({ name }) => origin === undefined || name === origin),
  );
  return {
    text: writePolicy(logs, witnesses, 0),
    vkeys: logs.map(printVerifierKey),
    policy: { logs, witnesses, quorum: { needed: 0, members: [] } },
  };
};

/** None of a statement that cannot be read: that it was changed is for the verifier to say. */
const keysOf = (text: string): VerifierKey[] => {
  try {
    const read = readStatement(text);
    if (!read.known) return [];
    const { statement } = read;
    if (statement.type === 'genesis' || statement.type === 'fork') return (statement.vkeys ?? []).map(parseVerifierKey);
    return statement.type === 'key' ? [...statement.old_vkeys, ...statement.new_vkeys].map(parseVerifierKey) : [];
  } catch (error) {
    if (error instanceof EvidenceFault) return [];
    throw error;
  }
};
