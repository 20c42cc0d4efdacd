import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { codeOf, reasonOf } from '../errors.ts';
import { S3Fault, textIn } from './errors.ts';

/** Sources of keys, in this order: a file of this bucket, the settings, the machine or the cluster. */
export interface S3KeySettings {
  readonly credentialsFile: string | undefined;
  readonly accessKey: string | undefined;
  readonly secretKey: string | undefined;
  /** Variables that begin with `AWS_`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Keys are not used any more this long before their end. */
const MARGIN_MS = 60_000;

export const createKeySource = (settings: S3KeySettings) => {
  let held: S3Keys | undefined;
  return {
    /** Rejects with an S3Fault if there are none. */
    keys: async (signal: AbortSignal): Promise<S3Keys> => {
      if (held === undefined || (held.expiresAtMs ?? Number.POSITIVE_INFINITY) - MARGIN_MS < Date.now()) {
        held = await readKeys(settings, signal);
      }
      return held;
    },
    /** Refused by the storage: the next call reads them again. */
    forget: () => {
      held = undefined;
    },
  };
};

export type KeySource = ReturnType<typeof createKeySource>;

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
    const code = codeOf(error) ?? 'no reason given';
    throw new S3Fault('no_credentials', `the credentials_file cannot be read (${code})`);
  }
};

/** Like ~/.aws/credentials: the first key of each kind counts. */
const keysOfFile = (text: string): S3Keys => {
  const read = (name: string) => new RegExp(`^\\s*${name}\\s*=\\s*(\\S+)\\s*$`, 'm').exec(text)?.[1];
  const accessKey = read('aws_access_key_id');
  const secretKey = read('aws_secret_access_key');
  const sessionToken = read('aws_session_token');
  if (accessKey === undefined || secretKey === undefined) {
    const what = 'the credentials_file has no lines aws_access_key_id = … and aws_secret_access_key = …';
    throw new S3Fault('no_credentials', what);
  }
  return { accessKey, secretKey, ...(sessionToken !== undefined && { sessionToken }) };
};

type Environment = Readonly<Record<string, string | undefined>>;

export const awsVariables = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_ROLE_ARN',
  'AWS_ROLE_SESSION_NAME',
  'AWS_REGION',
  'AWS_ENDPOINT_URL_STS',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
  'AWS_EC2_METADATA_DISABLED',
  'AWS_EC2_METADATA_SERVICE_ENDPOINT',
] as const;

/** The machine itself answers, or no service does. */
const TIMEOUT_MS = 2_000;
const STS_TIMEOUT_MS = 10_000;
const TOKEN_SECONDS = 300;
const CONTAINER_HOST = 'http://169.254.170.2';
const METADATA_HOST = 'http://169.254.169.254';

/**
 * In the order of Amazon's SDKs: variables, Kubernetes (IRSA), container (ECS, EKS Pod Identity), machine (IMDSv2).
 * Rejects with an S3Fault if there are none.
 */
const credentialsOfAws = async (environment: Environment, signal: AbortSignal): Promise<S3Keys> => {
  const { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey, AWS_SESSION_TOKEN: token } = environment;
  if (accessKey !== undefined && secretKey !== undefined) {
    return { accessKey, secretKey, ...(token !== undefined && { sessionToken: token }) };
  }
  try {
    if (environment['AWS_WEB_IDENTITY_TOKEN_FILE'] !== undefined) return await ofWebIdentity(environment, signal);
    const container = containerUrl(environment);
    if (container !== undefined) return await ofContainer(container, environment, signal);
    if (environment['AWS_EC2_METADATA_DISABLED'] !== 'true') return await ofMachine(environment, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw new S3Fault('no_credentials', `there is no access key, and Amazon gives none: ${reasonOf(error)}`);
  }
  throw new S3Fault('no_credentials', 'there is no access key');
};

const ask = async (url: string, init: RequestInit, signal: AbortSignal, timeoutMs = TIMEOUT_MS): Promise<string> => {
  const response = await fetch(url, {
    ...init,
    redirect: 'manual',
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`HTTP ${response.status} from ${new URL(url).host}`);
  return text;
};

const keysOfJson = (text: string): S3Keys => {
  const said = JSON.parse(text) as Readonly<Record<string, unknown>>;
  const [accessKey, secretKey, token, until] = ['AccessKeyId', 'SecretAccessKey', 'Token', 'Expiration'].map((name) =>
    typeof said[name] === 'string' ? said[name] : undefined,
  );
  return keysOf(accessKey, secretKey, token, until);
};

const keysOf = (accessKey?: string, secretKey?: string, token?: string, until?: string): S3Keys => {
  if (accessKey === undefined || secretKey === undefined) throw new Error('the answer has no credentials');
  const expiresAtMs = Date.parse(until ?? '');
  return {
    accessKey,
    secretKey,
    ...(token !== undefined && { sessionToken: token }),
    ...(!Number.isNaN(expiresAtMs) && { expiresAtMs }),
  };
};

const ofWebIdentity = async (environment: Environment, signal: AbortSignal): Promise<S3Keys> => {
  const region = environment['AWS_REGION'];
  const host =
    environment['AWS_ENDPOINT_URL_STS'] ?? `https://sts.${region === undefined ? '' : `${region}.`}amazonaws.com`;
  const body = new URLSearchParams({
    Action: 'AssumeRoleWithWebIdentity',
    Version: '2011-06-15',
    RoleArn: environment['AWS_ROLE_ARN'] ?? '',
    RoleSessionName: environment['AWS_ROLE_SESSION_NAME'] ?? 'orgtrail',
    WebIdentityToken: (await readFile(environment['AWS_WEB_IDENTITY_TOKEN_FILE'] ?? '', 'utf8')).trim(),
  });
  const xml = await ask(host, { method: 'POST', body }, signal, STS_TIMEOUT_MS);
  return keysOf(
    ...(['AccessKeyId', 'SecretAccessKey', 'SessionToken', 'Expiration'].map((name) => textIn(xml, name)) as []),
  );
};

const containerUrl = (environment: Environment): string | undefined => {
  const path = environment['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'];
  return path === undefined ? environment['AWS_CONTAINER_CREDENTIALS_FULL_URI'] : `${CONTAINER_HOST}${path}`;
};

/** Given by ECS and EKS, besides those of the host itself. */
const containerHosts = ['169.254.170.2', '169.254.170.23', '[fd00:ec2::23]', 'localhost', '[::1]'];

const ofContainer = async (url: string, environment: Environment, signal: AbortSignal): Promise<S3Keys> => {
  const { protocol, hostname } = new URL(url);
  const isNear = containerHosts.includes(hostname) || (isIP(hostname) === 4 && hostname.startsWith('127.'));
  // The token must not cross the network in the clear.
  if (protocol !== 'https:' && !isNear) {
    throw new Error(`${hostname} is not an address of a container's credentials`);
  }
  const file = environment['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'];
  const token =
    file === undefined ? environment['AWS_CONTAINER_AUTHORIZATION_TOKEN'] : (await readFile(file, 'utf8')).trim();
  return keysOfJson(await ask(url, token === undefined ? {} : { headers: { authorization: token } }, signal));
};

const ofMachine = async (environment: Environment, signal: AbortSignal): Promise<S3Keys> => {
  const host = (environment['AWS_EC2_METADATA_SERVICE_ENDPOINT'] ?? METADATA_HOST).replace(/\/$/, '');
  const token = await ask(
    `${host}/latest/api/token`,
    { method: 'PUT', headers: { 'x-aws-ec2-metadata-token-ttl-seconds': String(TOKEN_SECONDS) } },
    signal,
  );
  const headers = { 'x-aws-ec2-metadata-token': token };
  const roles = `${host}/latest/meta-data/iam/security-credentials/`;
  const role = (await ask(roles, { headers }, signal)).trim().split('\n')[0] ?? '';
  return keysOfJson(await ask(`${roles}${encodeURIComponent(role)}`, { headers }, signal));
};

export type S3Keys = Readonly<{ accessKey: string; secretKey: string; sessionToken?: string; expiresAtMs?: number }>;
