import { readFile } from 'node:fs/promises';
import { credentialsOfAws } from './aws-credentials.ts';
import { S3Fault } from './s3-fault.ts';
import type { S3Keys } from './s3-keys.ts';

/** Where the keys come from, in this order: a file of this bucket, the settings, what the machine or the cluster gives. */
export interface S3KeySettings {
  readonly credentialsFile: string | undefined;
  readonly accessKey: string | undefined;
  readonly secretKey: string | undefined;
  /** Variables that begin with `AWS_`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface KeySource {
  /** Rejects with an S3Fault if there are none. */
  keys(signal: AbortSignal): Promise<S3Keys>;
  /** The storage refused them: the next call reads them again. */
  forget(): void;
}

/** So long before their end, keys are not used any more. */
const MARGIN_MS = 60_000;

/** Reads keys when they are first needed, and again when they end or are refused. */
export const createKeySource = (settings: S3KeySettings): KeySource => {
  let held: S3Keys | undefined;
  return {
    keys: async (signal) => {
      if (held === undefined || (held.expiresAtMs ?? Number.POSITIVE_INFINITY) - MARGIN_MS < Date.now()) {
        held = await readKeys(settings, signal);
      }
      return held;
    },
    forget: () => {
      held = undefined;
    },
  };
};

const readKeys = async (settings: S3KeySettings, signal: AbortSignal): Promise<S3Keys> => {
  const { credentialsFile, accessKey, secretKey, environment } = settings;
  if (credentialsFile !== undefined) return keysOfFile(await readText(credentialsFile));
  if (accessKey !== undefined && secretKey !== undefined) return { accessKey, secretKey };
  return await credentialsOfAws(environment, signal);
};

const readText = async (file: string): Promise<string> => {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no reason given';
    throw new S3Fault('no_credentials', `the credentials_file cannot be read (${code})`);
  }
};

/** A file such as ~/.aws/credentials: the first key of each kind counts. */
const keysOfFile = (text: string): S3Keys => {
  const read = (name: string) => new RegExp(`^\\s*${name}\\s*=\\s*(\\S+)\\s*$`, 'm').exec(text)?.[1];
  const accessKey = read('aws_access_key_id');
  const secretKey = read('aws_secret_access_key');
  const sessionToken = read('aws_session_token');
  if (accessKey === undefined || secretKey === undefined) {
    throw new S3Fault(
      'no_credentials',
      'the credentials_file has no lines aws_access_key_id = … and aws_secret_access_key = …',
    );
  }
  return { accessKey, secretKey, ...(sessionToken !== undefined && { sessionToken }) };
};
