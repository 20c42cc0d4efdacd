export type S3FaultKind =
  | 'wrong_secret' // the access key is unknown, or the secret key is not its own
  | 'expired' // credentials for a time, whose time is over
  | 'no_credentials'
  | 'no_bucket'
  | 'denied'
  | 'wrong_region'
  | 'clock_skew'
  | 'full'
  | 'slow_down'
  | 'no_lock' // the bucket does not lock objects, or the lock is not one that it takes
  | 'exists' // an object that was to be written once, or that the bucket does not let be replaced
  | 'network' // no complete answer
  | 'other';

/** The message can be shown: no credential is in it. */
export class S3Fault extends Error {
  override readonly name = 'S3Fault';
  readonly kind: S3FaultKind;
  /** Of the storage; else the HTTP status, or without an answer the code of the error. */
  readonly code: string;
  readonly retryAfter: string | undefined;

  constructor(kind: S3FaultKind, message: string, code = '', retryAfter?: string) {
    super(message);
    this.kind = kind;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export interface S3Refusal {
  readonly status: number;
  readonly body: string;
  readonly region: string | undefined;
  readonly retryAfter: string | undefined;
  /** Target of a redirect, which is not followed. */
  readonly redirectHost: string | undefined;
}

const kinds: Readonly<Record<string, S3FaultKind>> = {
  InvalidAccessKeyId: 'wrong_secret',
  SignatureDoesNotMatch: 'wrong_secret',
  Unauthorized: 'wrong_secret',
  ExpiredToken: 'expired',
  TokenRefreshRequired: 'expired',
  InvalidToken: 'expired',
  NoSuchBucket: 'no_bucket',
  AccessDenied: 'denied',
  AllAccessDisabled: 'denied',
  AccountProblem: 'denied',
  PermanentRedirect: 'wrong_region',
  TemporaryRedirect: 'wrong_region',
  AuthorizationHeaderMalformed: 'wrong_region',
  IllegalLocationConstraintException: 'wrong_region',
  RequestTimeTooSkewed: 'clock_skew',
  ExpiredRequest: 'clock_skew',
  QuotaExceeded: 'full',
  InsufficientCapacity: 'full',
  XMinioStorageFull: 'full',
  XMinioAdminBucketQuotaExceeded: 'full',
  SlowDown: 'slow_down',
  TooManyRequests: 'slow_down',
  RequestLimitExceeded: 'slow_down',
  ServiceUnavailable: 'slow_down',
  PreconditionFailed: 'exists',
  // R2's lock rules, Google's retention policies and holds: they refuse to replace an object.
  ObjectLockedByBucketPolicy: 'exists',
  RetentionPolicyNotMet: 'exists',
  ObjectUnderActiveHold: 'exists',
};

/** For answers without a body, as to HEAD, and unknown codes. */
const kindsByStatus: Readonly<Record<number, S3FaultKind>> = {
  301: 'wrong_region',
  307: 'wrong_region',
  401: 'wrong_secret',
  403: 'denied',
  412: 'exists',
  429: 'slow_down',
  503: 'slow_down',
  507: 'full',
};

/** `what`: such as `PUT of events/checkpoints/1`. */
export const faultOf = (refusal: S3Refusal, bucket: string, what: string): S3Fault => {
  const code = textIn(refusal.body, 'Code') ?? `HTTP ${refusal.status}`;
  const kind = kinds[code] ?? kindsByStatus[refusal.status] ?? 'other';
  const said = (words[kind] ?? otherWords)({ ...refusal, code, bucket });
  return new S3Fault(kind, `${said}: ${what}`, code, refusal.retryAfter);
};

interface Told extends S3Refusal {
  readonly code: string;
  readonly bucket: string;
}

const words: Partial<Readonly<Record<S3FaultKind, (told: Told) => string>>> = {
  wrong_secret: ({ code }) =>
    code === 'SignatureDoesNotMatch'
      ? `the secret key is not that of the access key (${code})`
      : `the storage does not know the access key (${code})`,
  expired: ({ code }) => `the credentials have expired (${code})`,
  no_bucket: ({ code, bucket }) => `there is no bucket ${bucket} (${code})`,
  denied: ({ code }) => `the access key is not allowed to do this (${code})`,
  wrong_region: ({ code, bucket, body, region, redirectHost }) => {
    const right = region ?? textIn(body, 'Region');
    const to = redirectHost === undefined ? '' : `, which redirects to ${redirectHost}`;
    const hint = right === undefined ? `check region and endpoint${to}` : `it is in ${right}: set region=${right}`;
    return `the bucket ${bucket} is not in this region, ${hint} (${code})`;
  },
  clock_skew: ({ code }) => `the clock of this host and that of the storage differ by too much (${code})`,
  full: ({ code }) => `the storage or its quota is full (${code})`,
  slow_down: ({ code }) => `the storage is busy or limits requests (${code})`,
  exists: ({ code }) => `there is such an object already (${code})`,
};

const MAX_MESSAGE = 200;

const otherWords = ({ code, body, status, redirectHost }: Told): string => {
  if (status >= 300 && status < 400) {
    return `${code}: redirects${redirectHost === undefined ? '' : ` to ${redirectHost}`}, which is not followed; check endpoint`;
  }
  // Every storage has a code for these.
  if (code === 'HTTP 404' || code === 'HTTP 405') return `${code}, and no code of S3: check endpoint and bucket`;
  const message = textIn(body, 'Message')?.slice(0, MAX_MESSAGE);
  return message === undefined || message === '' ? code : `${code} (${message})`;
};

/** Of the first element with this name. */
export const textIn = (xml: string, name: string): string | undefined => {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return text?.replace(/&(lt|gt|quot|apos|amp|#x?[0-9a-fA-F]+);/g, (entity, named: string) => unescaped(entity, named));
};

const named: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

const unescaped = (entity: string, name: string): string => {
  const point = name.startsWith('#x') ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
  return named[name] ?? (point <= 0x10_ff_ff ? String.fromCodePoint(point) : entity);
};
