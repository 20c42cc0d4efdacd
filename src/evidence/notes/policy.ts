import { EvidenceFault, unlessFault } from '../bytes.ts';
import { type Checkpoint, type LogOrigin, parseCheckpoint, parseOrigin } from './checkpoint.ts';
import {
  type NoteSignature,
  type NoteSigner,
  parseNote,
  parseVerifierKey,
  printVerifierKey,
  type SignatureType,
  signatureTypes,
  type VerifierKey,
  verifierKey,
  verifyNote,
} from './signed-note.ts';

/** Whom a verifier believes: c2sp.org/tlog-policy. */
export interface Policy {
  /** One that is named like the origin of a checkpoint must have signed it. */
  readonly logs: readonly VerifierKey[];
  readonly witnesses: readonly Witness[];
  readonly quorum: Quorum;
}

/** Requires no cosignature. */
export const policyOfKeys = (logs: readonly VerifierKey[], witnesses: readonly Witness[] = []): Policy => ({
  logs,
  witnesses,
  quorum: { needed: 0, members: [] },
});

export interface Witness {
  /** For the quorum; not the name of the key. */
  readonly name: string;
  readonly key: VerifierKey;
}

/** Members are witnesses or groups. */
interface Quorum {
  readonly needed: number;
  readonly members: readonly (Witness | Quorum)[];
}

const isQuorum = ({ needed, members }: Quorum, signers: readonly VerifierKey[]): boolean => {
  const has = (member: Witness | Quorum): boolean =>
    'key' in member ? signers.includes(member.key) : isQuorum(member, signers);
  return members.filter(has).length >= needed;
};

export const writePolicy = (logs: readonly VerifierKey[], witnesses: readonly Witness[], needed: number): string => {
  const names = witnesses.map(({ name }) => name);
  const quorum = needed === 0 ? ['quorum none'] : [`group witnesses ${needed} ${names.join(' ')}`, 'quorum witnesses'];
  return [
    ...logs.map((key) => `log ${printVerifierKey(key)}`),
    ...witnesses.map(({ name, key }) => `witness ${name} ${printVerifierKey(key)}`),
    ...quorum,
    '',
  ].join('\n');
};

/** Throws an EvidenceFault that names the line. Unlike in the specification, logs of several names may have one key. */
export const parsePolicy = (bytes: Uint8Array): Policy => {
  const reader = new PolicyReader();
  // Names are opaque bytes: one character each.
  for (const [index, line] of Buffer.from(bytes).toString('latin1').split('\n').entries()) {
    try {
      reader.read(line);
    } catch (error) {
      if (!(error instanceof EvidenceFault)) throw error;
      throw new EvidenceFault(`line ${index + 1} of the policy: ${error.message}`);
    }
  }
  return reader.policy();
};

class PolicyReader {
  readonly #logs: VerifierKey[] = [];
  readonly #named = new Map<string, Witness | Quorum>();
  readonly #grouped = new Set<string>();
  #quorum: Quorum | undefined;

  read(line: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
    if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(line)) throw new EvidenceFault('has control characters');
    const [word = '', ...rest] = line.split(/[ \t]+/).filter((part) => part !== '');
    if (word === '' || word.startsWith('#')) return;
    if (word === 'log') this.#readLog(rest);
    else if (word === 'witness') this.#readWitness(rest);
    else if (word === 'group') this.#readGroup(rest);
    else if (word === 'quorum') this.#readQuorum(rest);
    else throw new EvidenceFault('begins with none of log, witness, group, quorum');
  }

  policy(): Policy {
    if (this.#quorum === undefined) throw new EvidenceFault('the policy has no quorum line');
    return { logs: this.#logs, witnesses: this.#witnesses(), quorum: this.#quorum };
  }

  #witnesses(): Witness[] {
    return [...this.#named.values()].filter((one) => 'key' in one);
  }

  #readLog([vkey = '', ...url]: readonly string[]): void {
    if (url.length > 1) throw new EvidenceFault('is not log VKEY [URL]');
    const key = keyOf(vkey, signatureTypes.note);
    if (this.#logs.some((other) => isSameKey(other, key) && other.name === key.name))
      throw new EvidenceFault('log again');
    this.#logs.push(key);
  }

  #readWitness([name = '', vkey = '', ...url]: readonly string[]): void {
    if (url.length > 1) throw new EvidenceFault('is not witness NAME VKEY [URL]');
    const key = keyOf(vkey, signatureTypes.cosignature);
    if (this.#witnesses().some((other) => isSameKey(other.key, key))) throw new EvidenceFault('witness again');
    this.#define(name, { name, key });
  }

  #readGroup([name = '', threshold = '', ...names]: readonly string[]): void {
    const members = names.map((member) => {
      if (this.#grouped.has(member)) throw new EvidenceFault(`${member} is in a group twice`);
      this.#grouped.add(member);
      return this.#lookUp(member);
    });
    const words: Record<string, number> = { any: 1, all: members.length };
    const needed = words[threshold] ?? (/^[1-9]\d{0,3}$/.test(threshold) ? Number(threshold) : Number.NaN);
    if (!(needed >= 1 && needed <= members.length)) throw new EvidenceFault('is not group NAME all|any|K NAME...');
    this.#define(name, { needed, members });
  }

  #readQuorum([name = '', ...more]: readonly string[]): void {
    if (this.#quorum !== undefined || more.length > 0) throw new EvidenceFault('is not the only quorum NAME');
    this.#quorum = name === 'none' ? { needed: 0, members: [] } : { needed: 1, members: [this.#lookUp(name)] };
  }

  #define(name: string, value: Witness | Quorum): void {
    if (name === '' || name === 'none' || this.#named.has(name)) throw new EvidenceFault(`cannot define ${name}`);
    this.#named.set(name, value);
  }

  #lookUp(name: string): Witness | Quorum {
    const found = this.#named.get(name);
    if (found === undefined) throw new EvidenceFault(`${name} is not defined above`);
    return found;
  }
}

const keyOf = (vkey: string, type: SignatureType): VerifierKey => {
  const key = parseVerifierKey(Buffer.from(vkey, 'latin1').toString());
  if (key.type !== type) throw new EvidenceFault(`the key of ${key.name} is not of the type that is needed here`);
  return key;
};

const isSameKey = (one: VerifierKey, other: VerifierKey): boolean =>
  Buffer.compare(one.publicKey, other.publicKey) === 0;

export interface OpenCheckpoint extends Checkpoint {
  readonly signers: readonly NoteSigner[];
  /** Signature lines of unknown keys. */
  readonly unknown: readonly NoteSignature[];
}

/** Throws an EvidenceFault for a wrong signature of a known key, none of a key named like the origin, or too few witnesses. */
export const openCheckpoint = (note: Uint8Array, policy: Policy): OpenCheckpoint => {
  const { text, signers, unknown } = verifyNote(parseNote(note), [
    ...policy.logs,
    ...policy.witnesses.map(({ key }) => key),
  ]);
  const checkpoint = parseCheckpoint(text);
  const keys = signers.map(({ key }) => key);
  if (!keys.some((key) => policy.logs.includes(key) && key.name === checkpoint.origin)) {
    throw new EvidenceFault(`checkpoint is not signed by ${checkpoint.origin}`);
  }
  if (!isQuorum(policy.quorum, keys)) throw new EvidenceFault('checkpoint is cosigned by too few witnesses');
  return { ...checkpoint, signers, unknown };
};

export const originOf = (text: string): LogOrigin | undefined => unlessFault(() => parseOrigin(text));

/** In whatever generation. */
export const isSameLog = (one: string, other: string): boolean => {
  const [a, b] = [originOf(one), originOf(other)];
  return a !== undefined && a.feedId === b?.feedId && a.log === b.log;
};

/** Without witnesses. The name of a key is the origin, which has the generation, so each generation has another name. */
export const policyOfGeneration = (policy: Policy, origin: string): Policy => {
  const named = policy.logs.filter(({ name }) => isSameLog(name, origin));
  const renamed = named.map(({ publicKey }) => verifierKey(origin, signatureTypes.note, publicKey));
  return policyOfKeys(withKeys(policy.logs, renamed), policy.witnesses);
};

/** Each name and id once. */
export const withKeys = (known: readonly VerifierKey[], others: readonly VerifierKey[]): VerifierKey[] => [
  ...known,
  ...others.filter((key) => !known.some(({ name, id }) => name === key.name && id === key.id)),
];
