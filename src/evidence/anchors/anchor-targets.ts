import { reasonOf } from '../../errors.ts';
import { parseS3Address, type S3Address } from '../../s3/s3-address.ts';
import type { Witness } from '../notes/policy.ts';
import { parseVerifierKey, signatureTypes, type VerifierKey } from '../notes/verifier-key.ts';

/** A place outside the database that keeps checkpoints, as ORGTRAIL_EVIDENCE_ANCHORS names it. */
export type AnchorTarget = DirectoryTarget | ObjectsTarget | WitnessTarget | TimeStampTarget;

interface DirectoryTarget {
  readonly kind: 'file';
  /** As it is set: what it is called in the database, in metrics and in messages. */
  readonly name: string;
  /** An absolute path. */
  readonly directory: string;
}

interface ObjectsTarget {
  readonly kind: 's3';
  /** Bucket, prefix and endpoint: what is left out may change without another name. */
  readonly name: string;
  readonly address: S3Address;
}

interface WitnessTarget {
  readonly kind: 'witness';
  /** With the name of its key, without the key itself. */
  readonly name: string;
  readonly url: string;
  readonly key: VerifierKey;
}

/** A time-stamping authority. */
interface TimeStampTarget {
  readonly kind: 'tsa';
  readonly name: string;
  readonly url: string;
}

/**
 * Reads ORGTRAIL_EVIDENCE_ANCHORS: anchors with a comma or a line between. Returns why it cannot be read, as the end of a sentence that begins
 * with the name of the setting.
 */
export const parseAnchors = (text: string): readonly AnchorTarget[] | string => {
  const names = text
    .split(/[,\n]/)
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const targets: AnchorTarget[] = [];
  for (const name of names) {
    const target = parseAnchor(name);
    if (typeof target === 'string') return target;
    if (targets.some((other) => other.name === target.name)) return `names ${target.name} twice`;
    targets.push(target);
  }
  return targets;
};

const parseAnchor = (text: string): AnchorTarget | string => {
  if (text.startsWith('witness:')) return parseWitness(text);
  if (text.startsWith('s3:')) return parseObjects(text);
  return text.startsWith('tsa:') ? parseAuthority(text) : parseDirectory(text);
};

/** Nothing of the text is repeated: it may have a credential by mistake. */
const parseObjects = (text: string): AnchorTarget | string => {
  const address = parseS3Address(text);
  return typeof address === 'string'
    ? `has an s3 anchor that cannot be used: it ${address}`
    : { kind: 's3', name: address.name, address };
};

const parseAuthority = (name: string): AnchorTarget | string => {
  const url = name.slice('tsa:'.length);
  return /^https?:\/\/[^\s@]+$/.test(url) && URL.canParse(url)
    ? { kind: 'tsa', name, url }
    : `has ${JSON.stringify(name)}: a time-stamping authority must be like tsa:https://tsa.example.com, without a password`;
};

const parseDirectory = (name: string): AnchorTarget | string => {
  const match = /^file:(?:\/\/)?(\/(?!\/)[^\0]*)$/.exec(name);
  const directory = match?.[1];
  return directory === undefined
    ? `has ${JSON.stringify(name)}: an anchor must be like file:/mnt/worm/orgtrail, with an absolute path, like s3://bucket/prefix, or like witness:https://witness.example.com+VKEY`
    : { kind: 'file', name, directory };
};

const parseWitness = (text: string): AnchorTarget | string => {
  const match = /^witness:(https?:\/\/[^+\s]+?)\/?\+(.+)$/.exec(text);
  const [, url, vkey] = match ?? [];
  if (url === undefined || vkey === undefined || !URL.canParse(url)) {
    return `has ${JSON.stringify(text)}: a witness must be like witness:https://witness.example.com+VKEY`;
  }
  try {
    const key = parseVerifierKey(vkey);
    if (key.type !== signatureTypes.cosignature) return `has a key of ${key.name} that is not one of a witness`;
    return { kind: 'witness', name: `witness:${url}+${key.name}`, url, key };
  } catch (error) {
    return `has a witness whose key cannot be read: ${reasonOf(error)}`;
  }
};

/** The witnesses among them, as a policy names them. */
export const witnessesOf = (targets: readonly AnchorTarget[]): Witness[] =>
  targets
    .flatMap((target) => (target.kind === 'witness' ? [target.key] : []))
    .map((key, index) => ({ name: `w${index + 1}`, key }));
