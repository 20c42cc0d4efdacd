import { readFacts } from '../entries/entry-defects.ts';
import type { SourceRef } from '../entries/entry-text.ts';
import type { AuditLog } from '../world/audit-log.ts';
import type { World } from '../world/world.ts';
import { isAccountRefused } from './access.ts';
import { collectPage, issueCursor, plainShape } from './audit-page.ts';
import { type AuditFilters, type AuditQuery, type AuditQueryOptions, auditQuery, parseTime } from './audit-query.ts';
import { auditErrorReply, BadRequest, orBadRequest, type Reply, refusal } from './reply.ts';

/** By the URI of its request, by product and type, or not at all. */
type HistoryStatus = 'exact' | 'approximate' | 'unavailable';
type Subject = Readonly<{ status: HistoryStatus; filters: AuditFilters }>;
/** Around the time that the client names. */
const lookupMs = 60_000;

/** The entries about the resource of one entry. Never throws on what a client sends. */
export function listHistory(
  world: World,
  options: AuditQueryOptions,
  source: SourceRef,
  entryId: string,
  parameters: URLSearchParams,
): Reply {
  const log = world.log(source);
  if (log === undefined) return auditErrorReply(404, `${source.kind} not found`);
  const account = source.kind === 'account' ? world.accounts.get(source.id) : undefined;
  const isRefused = account !== undefined && isAccountRefused(world.faults, account);
  if (isRefused || world.isRefused(source)) return refusal(403);
  const answer = () => {
    const text = entryOf(log, entryId, parameters, world.nowMs());
    if (text === undefined) return notFound();
    const { status, filters } = subjectOf(text);
    const query = auditQuery(source, parameters, options, () => filters);
    return status === 'unavailable' ? historyReply([], undefined, status) : pageOf(log, query, status, world.nowMs());
  };
  return orBadRequest(answer, (message) => auditErrorReply(400, message));
}

function entryOf(log: AuditLog, entryId: string, parameters: URLSearchParams, nowMs: number): string | undefined {
  const timeMs = parseTime(parameters.get('action_time') ?? '');
  if (timeMs === undefined) throw new BadRequest('action_time is required and must be an RFC3339 timestamp');
  const window = { sinceMs: timeMs - lookupMs, beforeMs: timeMs + lookupMs, direction: 'asc' } as const;
  for (const seq of log.walk({ ...window, sinceInclusive: true, beforeInclusive: true })) {
    if (log.isVisible(seq, nowMs) && readFacts(log.text(seq)).id === entryId) return log.text(seq);
  }
  return undefined;
}

function pageOf(log: AuditLog, query: AuditQuery, status: HistoryStatus, nowMs: number): Reply {
  const shape = plainShape(query, query.limit);
  const page = collectPage({ log, query, shape, nowMs }, query.cursor?.after);
  const cursor = page.next === undefined ? undefined : issueCursor(query, nowMs, page.next);
  const texts = page.seqs.map((seq) => log.text(seq));
  return historyReply(texts, cursor, status);
}

interface Readable {
  readonly raw?: { readonly uri?: unknown } | null;
  readonly resource?: { readonly product?: unknown; readonly type?: unknown } | null;
}

function uriOf(entry: Readable): string | undefined {
  const uri = entry?.raw?.uri;
  return typeof uri === 'string' && uri !== '' ? uri.split('?', 1)[0] : undefined;
}

// By URI without query; else by product and type, which other resources share.
function subjectOf(text: string): Subject {
  const entry = JSON.parse(text) as Readable;
  const uri = uriOf(entry);
  if (uri !== undefined) return subject('exact', ['uri', uri], (other) => uriOf(other) === uri);
  const { product, type } = entry.resource ?? {};
  if (typeof product !== 'string' || typeof type !== 'string') return subject('unavailable', [], () => false);
  return subject(
    'approximate',
    [product, type],
    ({ resource }) => resource?.product === product && resource.type === type,
  );
}

function subject(status: HistoryStatus, words: readonly string[], matches: (entry: Readable) => boolean): Subject {
  const signature = JSON.stringify([status, ...words]);
  return {
    status,
    filters: {
      signature,
      matches: (text) => {
        const entry: unknown = JSON.parse(text);
        return typeof entry === 'object' && entry !== null && matches(entry);
      },
    },
  };
}

function historyReply(texts: readonly string[], cursor: string | undefined, status: HistoryStatus): Reply {
  const info = JSON.stringify({
    count: texts.length,
    ...(cursor === undefined ? {} : { cursor }),
    history_status: status,
  });
  const body = `{"errors":[],"messages":[],"result":[${texts.join()}],"result_info":${info},"success":true}`;
  return { status: 200, body };
}

function notFound(): Reply {
  const errors = [{ message: 'audit log entry not found' }];
  const result_info = { count: 0, history_status: 'unavailable' };
  return { status: 404, body: JSON.stringify({ errors, messages: [], result: [], result_info, success: false }) };
}
