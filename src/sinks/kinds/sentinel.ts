import { readFileSync } from 'node:fs';
import type { TokenCredential } from '@azure/identity';
import { z } from 'zod';
import { ipVersion } from '../../base/addresses.ts';
import { readAuditEntry } from '../../formats/audit-entry.ts';
import { type ActionKind, classify } from '../../formats/classification.ts';
import { actionMs, eventInstant, type FeedEvent } from '../../formats/format.ts';
import { toJsonLine } from '../../formats/text.ts';
import { type DeliveryOutcome, type OutgoingEvent, type Sink, textBytes } from '../delivery.ts';
import type { Finding } from '../findings/finding.ts';
import { createReasonText, failedBy, type HttpAnswer, type ReasonText } from '../http/http-post.ts';
import { httpSettings, plainHttpWarnings } from '../http/http-settings.ts';
import { type Authorization, createHttpSink } from '../http/http-sink.ts';
import {
  batchEventsSetting,
  commonSettings,
  maxAgeSetting,
  maxEventBytesSetting,
  secret,
  sinkKind,
  startSetting,
} from '../sink-kind.ts';

const API_VERSION = '2023-01-01';
const checks = {
  credential: 'that the identity has the role Monitoring Metrics Publisher on the data collection rule',
  address: 'url, rule and stream',
};

/** Logs Ingestion API, into a table of Log Analytics. It does not look for repeats: they show by the column `Key`. */
const create = (settings: SentinelSettings): Sink => {
  const { url: base, rule, stream, client_secret: secret } = settings;
  const secrets = secret === undefined ? [] : [secret];
  const tokens = createEntraTokens(settings, createReasonText(secrets));
  const address = `${base.replace(/\/+$/, '')}/dataCollectionRules/${rule}/streams/${stream}`;
  return createHttpSink(settings, {
    url: `${address}?api-version=${API_VERSION}`,
    target: address,
    headers: {},
    authorize: tokens.get,
    readTrouble: (answer, reasonText) => {
      if (answer.status === 401) tokens.drop();
      return outcomeOfBadRequest(answer, reasonText);
    },
    secrets,
    body: 'array',
    write: auditRecord,
    // Azure cuts longer columns. Each is the formatted event or a part of the entry.
    eventBytes: (outgoing) => Math.max(textBytes(outgoing), Buffer.byteLength(outgoing.event.rawText, 'utf8')),
    checks,
  });
};

/** Azure does not judge single events: 400 means stream or rule, and no event must become a dead letter. */
const outcomeOfBadRequest = (answer: HttpAnswer, reasonText: ReasonText): DeliveryOutcome | undefined => {
  const why = `HTTP 400: check stream, and the streams and the transformation of the rule: ${answer.body}`;
  return answer.status === 400 ? failedBy(answer, reasonText(why)) : undefined;
};

const id = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.-]*$/, 'must be an id');

const settings = z.strictObject({
  type: z.literal('sentinel'),
  ...commonSettings,
  ...httpSettings,
  rule: z.string().regex(/^dcr-[A-Za-z0-9]+$/, 'must be the immutable id of a data collection rule, as dcr-…'),
  stream: z
    .string()
    .regex(/^(Custom|Microsoft)-[A-Za-z0-9_-]+$/, 'must be the name of a stream, as Custom-…')
    .default('Custom-CloudflareAudit'),
  /** Without a secret, the managed identity of the machine: that of `client_id` if it has several. */
  tenant_id: id.optional(),
  client_id: id.optional(),
  client_secret: secret.optional(),
  cloud: z.enum(['public', 'usgovernment', 'china']).default('public'),
  authority: z
    .url({ protocol: /^https$/ })
    .transform((text) => new URL(text).origin)
    .optional(),
  start: startSetting('now'),
  /** Ten minutes below the limit: a request and its repeats take time. */
  max_age: maxAgeSetting('2870m'),
  batch_events: batchEventsSetting(200, 1_000),
  /** Of the column `Event`. */
  max_event_bytes: maxEventBytesSetting(65_536),
  max_request_bytes: z.int().min(1).default(1_000_000),
});

const contradictionsOf = ({ client_secret, client_id, tenant_id }: SentinelSettings): string[] => {
  if (client_secret === undefined) return tenant_id === undefined ? [] : [' needs .client_secret beside .tenant_id'];
  return [
    ...(tenant_id === undefined ? [' needs .tenant_id beside .client_secret'] : []),
    ...(client_id === undefined ? [' needs .client_id beside .client_secret'] : []),
  ];
};

export const sentinel = sinkKind({
  settings,
  secrets: ['client_secret'],
  files: ['ca_file'],
  contradictions: contradictionsOf,
  warnings: ({ url }) => plainHttpWarnings(url, 'its token'),
  create,
});

const createEntraTokens = (settings: SentinelSettings, reasonText: ReasonText) => {
  const { cloud, client_secret: secret, timeout: timeoutMs } = settings;
  let credential: Promise<TokenCredential> | undefined;
  return {
    get: async (signal: AbortSignal): Promise<Authorization> => {
      try {
        credential ??= openCredential(settings);
        const timeout = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
        const token = await (await credential).getToken(clouds[cloud].scope, { abortSignal: timeout });
        if (token === null) throw new Error('none was given');
        return { kind: 'authorized', secret: token.token };
      } catch (error) {
        signal.throwIfAborted();
        const check =
          secret === undefined
            ? 'client_id, and that the machine has a managed identity'
            : 'tenant_id, client_id and client_secret';
        // The lines after the first have the ids of the request.
        const why = (error instanceof Error ? error.message : String(error)).split(/\r?\n/)[0] ?? '';
        const reason = reasonText(`no token of Microsoft Entra: check ${check}: ${why}`);
        return { kind: 'failed', reason, because: 'receiver' };
      }
    },
    /** The receiver refused the token: the next one is new. */
    drop: () => {
      credential = undefined;
    },
  };
};

/** Loaded with the first delivery: the library has 0.9 MB, and most processes have no such sink. */
const openCredential = async (settings: SentinelSettings): Promise<TokenCredential> => {
  const { tenant_id: tenantId, client_id: clientId, client_secret: secret, authority, ca_file: ca } = settings;
  const { ClientSecretCredential, ManagedIdentityCredential } = await import('@azure/identity');
  // The delivery is retried as a whole, with growing pauses.
  const retryOptions = { maxRetries: 0 };
  if (secret === undefined || tenantId === undefined || clientId === undefined) {
    return new ManagedIdentityCredential({ ...(clientId !== undefined && { clientId }), retryOptions });
  }
  return new ClientSecretCredential(tenantId, clientId, secret, {
    retryOptions,
    authorityHost: authority ?? clouds[settings.cloud].authority,
    // Microsoft's list has no other authorities.
    disableInstanceDiscovery: authority !== undefined,
    ...(ca !== undefined && { tlsOptions: { ca: readFileSync(ca, 'utf8') } }),
  });
};

const clouds = {
  public: { authority: 'https://login.microsoftonline.com', scope: 'https://monitor.azure.com/.default' },
  usgovernment: { authority: 'https://login.microsoftonline.us', scope: 'https://monitor.azure.us/.default' },
  china: { authority: 'https://login.chinacloudapi.cn', scope: 'https://monitor.azure.cn/.default' },
} as const;

/** ASIM's columns that rules query, those of Cloudflare, and the event as text; declared in deploy/azure/sentinel.json. None is empty. */
export const auditRecord = (outgoing: OutgoingEvent): string =>
  toJsonLine({
    TimeGenerated: eventInstant(outgoing.event),
    Key: outgoing.key,
    Position: outgoing.event.position,
    Event: outgoing.text,
    EventCount: 1,
    EventVendor: 'Cloudflare',
    ...(outgoing.finding === undefined ? ofEntry(outgoing) : ofFinding(outgoing.finding)),
    ...ofPlace(outgoing.event),
  });

const ofEntry = ({ event }: OutgoingEvent): object => {
  const entry = readAuditEntry(event);
  const { action, outcome, severity } = classify(entry);
  const { texts } = entry;
  const instant = eventInstant(event);
  return {
    EventProduct: 'Audit Logs',
    EventSchema: 'AuditEvent',
    EventSchemaVersion: SCHEMA_VERSION,
    EventStartTime: instant,
    EventEndTime: instant,
    EventType: eventTypes[action],
    EventOriginalType: texts.actionType,
    EventOriginalUid: event.id,
    EventResult: results[outcome],
    EventOriginalResultDetails: entry.statusCode === undefined ? undefined : String(entry.statusCode),
    EventSeverity: severities[severity],
    EventMessage: texts.actionDescription,
    Dvc: 'Cloudflare',
    Operation: texts.actionType ?? 'unknown',
    Object: texts.resourceId ?? texts.resourceType ?? texts.resourceProduct ?? 'unknown',
    ObjectType: texts.resourceType,
    ActorUserId: texts.actorId,
    ActorUserIdType: texts.actorId === undefined ? undefined : 'Other',
    ActorUsername: texts.actorEmail,
    ActorUsernameType: texts.actorEmail === undefined ? undefined : 'UPN',
    ActorOriginalUserType: texts.actorType,
    SrcIpAddr: ipOf(texts.actorIpAddress),
    HttpUserAgent: texts.userAgent,
    TargetAppName: texts.resourceProduct ?? 'Cloudflare',
    TargetUrl: texts.uri,
    ActionTimeKnown: actionMs(event) !== undefined,
    RayId: texts.rayId,
    TokenId: texts.actorTokenId,
    TokenName: texts.actorTokenName,
  };
};

/** Of ASIM's schema of audit events. */
const SCHEMA_VERSION = '0.1.2';

const eventTypes: Readonly<Record<ActionKind, string>> = {
  create: 'Create',
  view: 'Read',
  update: 'Set',
  delete: 'Delete',
  login: 'Other',
  unknown: 'Other',
  other: 'Other',
};
const results = { success: 'Success', failure: 'Failure', unknown: 'NA', other: 'NA' } as const;
const severities = { informational: 'Informational', low: 'Low', medium: 'Medium', high: 'High' } as const;

const ipOf = (address: string | undefined): string | undefined =>
  address !== undefined && ipVersion(address) !== undefined ? address : undefined;

const ofFinding = (finding: Finding): object => ({
  EventProduct: 'orgtrail',
  EventSchema: 'AlertEvent',
  EventSchemaVersion: ALERT_SCHEMA_VERSION,
  EventType: 'Alert',
  EventSeverity: alertSeverities[finding.severity] ?? 'Medium',
  EventMessage: finding.summary,
  Operation: finding.detection,
  Object: finding.resourceId ?? finding.resourceType ?? 'unknown',
  ObjectType: finding.resourceType ?? undefined,
  ActorUsername: finding.actor,
  SrcIpAddr: ipOf(finding.actorIpAddress ?? undefined),
});
const ALERT_SCHEMA_VERSION = '0.1';
const alertSeverities: Readonly<Record<string, string>> = {
  low: 'Low',
  medium: 'Medium',
  high: 'High',
  critical: 'High',
};

const ofPlace = (event: FeedEvent): object => ({
  OrganizationId: event.organizationId ?? undefined,
  OrganizationName: event.organizationName ?? undefined,
  AccountId: event.accountId ?? undefined,
  AccountName: event.accountName ?? undefined,
  ZoneId: event.zoneId ?? undefined,
  ZoneName: event.zoneName ?? undefined,
});

type SentinelSettings = z.infer<typeof settings>;
