import { EvidenceFault } from '../evidence-fault.ts';
import { type LogOrigin, parseOrigin } from './origin.ts';
import type { Policy } from './policy.ts';
import { signatureTypes, type VerifierKey, verifierKey } from './verifier-key.ts';

/** Undefined for what is no origin of a log of orgtrail. */
export const originOf = (text: string): LogOrigin | undefined => {
  try {
    return parseOrigin(text);
  } catch (error) {
    if (!(error instanceof EvidenceFault)) throw error;
    return undefined;
  }
};

/** Whether two origins are of the same log of one feed, in whatever generation. */
export const isSameLog = (one: string, other: string): boolean => {
  const [a, b] = [originOf(one), originOf(other)];
  return a !== undefined && a.feedId === b?.feedId && a.log === b.log;
};

/**
 * A policy that lets a checkpoint of an earlier or later generation believe, without witnesses: a key is named like the origin of its log,
 * which has the generation in it, so the same key has another name there.
 */
export const policyOfGeneration = (policy: Policy, origin: string): Policy => {
  const named = policy.logs.filter(({ name }) => isSameLog(name, origin));
  const renamed = named.map(({ publicKey }) => verifierKey(origin, signatureTypes.note, publicKey));
  const isKnown = (key: VerifierKey): boolean => policy.logs.some(({ name, id }) => name === key.name && id === key.id);
  return {
    ...policy,
    logs: [...policy.logs, ...renamed.filter((key) => !isKnown(key))],
    quorum: { needed: 0, members: [] },
  };
};
