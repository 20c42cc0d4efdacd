import { parseDurationMs } from '../time.ts';

/** Has no secret. */
export interface S3Address {
  /** In messages: bucket, prefix and endpoint. */
  readonly name: string;
  readonly bucket: string;
  /** Without `/` at both ends; empty: the whole bucket. */
  readonly prefix: string;
  /** Without a path; undefined: Amazon S3. */
  readonly endpoint: string | undefined;
  readonly region: string;
  /** The bucket is in the path, not in the host name. */
  readonly pathStyle: boolean;
  /** Lock of a new object; undefined: none. */
  readonly lockMs: number | undefined;
  /** Access key and secret key for this bucket alone. */
  readonly credentialsFile: string | undefined;
  /** PEM, of the authority that signed the endpoint's certificate. */
  readonly caFile: string | undefined;
}

const parameters = ['endpoint', 'region', 'path_style', 'lock', 'credentials_file', 'ca_file'];
const MIN_LOCK_MS = 86_400_000;
const MAX_LOCK_MS = 36_500 * 86_400_000;

/** Returns the fault as the end of a sentence, without the text, which may hold a secret by mistake. */
export const parseS3Address = (text: string): S3Address | string => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.protocol !== 's3:') return 'must be like s3://bucket/prefix';
  if (`${url.username}${url.password}` !== '') return 'must have no credential: set it beside the address';
  const bucket = url.hostname;
  if (!isBucketName(bucket) || url.port !== '' || url.hash !== '') {
    return 'must be like s3://bucket/prefix, with the name of a bucket';
  }
  const prefix = prefixOf(url.pathname);
  if (prefix === undefined) return 'must have a prefix of printable characters, without empty parts';
  const given = [...url.searchParams.keys()];
  if (given.some((name) => !parameters.includes(name))) return `knows these parameters: ${parameters.join(', ')}`;
  if (new Set(given).size !== given.length) return 'has a parameter twice';
  const read = readParameters(url.searchParams, bucket);
  if (typeof read === 'string') return read;
  return { name: nameOfPlace({ bucket, prefix, endpoint: read.endpoint }), bucket, prefix, ...read };
};

export const nameOfPlace = ({ bucket, prefix, endpoint }: Pick<S3Address, 'bucket' | 'prefix' | 'endpoint'>): string =>
  `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}${endpoint === undefined ? '' : `?endpoint=${endpoint}`}`;

export const isBucketName = (text: string): boolean => /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(text);

/** Printable, without empty parts or `/` at the ends. */
export const isPrefix = (text: string): boolean => text === '' || /^[^\p{C}/]+(\/[^\p{C}/]+)*$/u.test(text);

const prefixOf = (pathname: string): string | undefined => {
  try {
    const prefix = decodeURIComponent(pathname).replace(/^\//, '').replace(/\/$/, '');
    return isPrefix(prefix) ? prefix : undefined;
  } catch {
    return undefined;
  }
};

type Read = Omit<S3Address, 'name' | 'bucket' | 'prefix'>;

const readParameters = (given: URLSearchParams, bucket: string): Read | string => {
  const endpoint = given.get('endpoint') ?? undefined;
  const origin = endpoint === undefined ? undefined : originOf(endpoint);
  if (origin === '') return 'must have an endpoint that is an http or https URL without path and password';
  const style = given.get('path_style') ?? String(origin !== undefined || bucket.includes('.'));
  if (style !== 'true' && style !== 'false') return 'must have true or false as path_style';
  const region = given.get('region') ?? defaultRegion(origin);
  if (!isRegion(region)) return 'must have a region such as eu-west-1';
  const lock = given.get('lock');
  const lockMs = lock === null ? undefined : (parseDurationMs(lock) ?? 0);
  if (lockMs !== undefined && (lockMs < MIN_LOCK_MS || lockMs > MAX_LOCK_MS)) {
    return 'must have a lock between 1d and 36500d such as 400d';
  }
  const credentialsFile = given.get('credentials_file') ?? undefined;
  const caFile = given.get('ca_file') ?? undefined;
  return { endpoint: origin, region, pathStyle: style === 'true', lockMs, credentialsFile, caFile };
};

export const isRegion = (text: string): boolean => /^[a-z0-9-]{1,40}$/.test(text);

/** For signing, if no region is given. */
export const defaultRegion = (origin: string | undefined): string => {
  const host = origin === undefined ? '' : new URL(origin).hostname;
  if (isR2(origin) || host === 'storage.googleapis.com') return 'auto';
  return /^s3[.-](?:dualstack\.)?([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$/.exec(host)?.[1] ?? 'us-east-1';
};

export const isR2 = (origin: string | undefined): boolean => origin?.endsWith('.r2.cloudflarestorage.com') === true;

/** Scheme, host and port of an endpoint; empty if it is none. */
export const originOf = (text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) return '';
  return url.pathname === '/' && `${url.username}${url.password}${url.search}${url.hash}` === '' ? url.origin : '';
};

/** An empty key: the bucket itself. */
export const urlOfObject = ({ bucket, endpoint, region, pathStyle }: S3Address, key: string): URL => {
  const suffix = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
  const base = new URL(endpoint ?? `https://s3.${region}.${suffix}`);
  if (!pathStyle) base.hostname = `${bucket}.${base.hostname}`;
  const path = key.split('/').map(encoded).join('/');
  return new URL(`${base.origin}/${pathStyle ? `${bucket}/` : ''}${path}`);
};

/** As in signatures of version 4. */
export const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);
