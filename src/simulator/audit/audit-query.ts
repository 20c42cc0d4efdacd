import { BadRequest } from '../api/reply.ts';
import type { LogWindow } from '../world/audit-log.ts';
import { keyOf } from '../world/random.ts';
import { type SourceRef, sourceKey } from '../world/source.ts';
import { type Cursor, readCursor } from './audit-cursor.ts';
import { type AuditFilters, auditFilters } from './audit-filters.ts';

/** What a request for audit logs asks for, checked. */
export interface AuditQuery {
  readonly window: LogWindow;
  readonly limit: number;
  readonly filters: AuditFilters;
  /** The cursor and its text as sent; undefined for the first page. */
  readonly cursor: (Cursor & { readonly text: string }) | undefined;
  /** Stands for every other parameter; a cursor is bound to it. */
  readonly binding: number;
}

export interface AuditQueryOptions {
  readonly sinceInclusive: boolean;
  readonly beforeInclusive: boolean;
}

const dateForm = /^(\d{4})-(\d{2})-(\d{2})$/;
const timestampForm = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

/**
 * Milliseconds since the epoch of a date (its midnight in UTC) or an RFC 3339 timestamp, with the fraction of a millisecond
 * that was written; undefined for anything else, days that do not exist included.
 */
export function parseTime(text: string): number | undefined {
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone = 'Z'] =
    dateForm.exec(text) ?? timestampForm.exec(text) ?? [];
  if (year === undefined) return undefined;
  const whole = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  const isReal = new Date(whole).toISOString().startsWith(`${year}-${month}-${day}T${hour}:${minute}:${second}`);
  if (!isReal) return undefined;
  return whole + Number(`0${fraction}`) * 1000 - offsetMs(zone);
}

function offsetMs(zone: string): number {
  if (zone.toUpperCase() === 'Z') return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6));
  return (zone.startsWith('-') ? -minutes : minutes) * 60_000;
}

function requiredTime(query: URLSearchParams, name: string): number {
  const text = query.get(name);
  if (text === null || text === '') throw new BadRequest(`${name} is required`);
  const timeMs = parseTime(text);
  if (timeMs === undefined) throw new BadRequest(`${name} must be a date (2019-04-30) or an RFC3339 timestamp`);
  return timeMs;
}

function limitOf(query: URLSearchParams): number {
  const text = query.get('limit');
  if (text === null) return 100;
  // A number in any spelling: 10, 10.0, 1e2.
  const limit = /^\d[\d.eE+]*$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) throw new BadRequest('limit must be between 1 and 1000');
  return limit;
}

function directionOf(query: URLSearchParams): 'asc' | 'desc' {
  const text = query.get('direction') ?? 'desc';
  if (text !== 'asc' && text !== 'desc') throw new BadRequest('direction must be one of: desc, asc');
  return text;
}

/** Reads a query. Throws BadRequest, saying what is wrong, if Cloudflare answers 400. */
export function auditQuery(
  source: SourceRef,
  query: URLSearchParams,
  options: AuditQueryOptions,
  readFilters = auditFilters,
): AuditQuery {
  const sinceMs = requiredTime(query, 'since');
  const beforeMs = requiredTime(query, 'before');
  const direction = directionOf(query);
  const limit = limitOf(query);
  const filters = readFilters(query, source.kind);
  const binding = keyOf(JSON.stringify([sourceKey(source), sinceMs, beforeMs, direction, limit, filters.signature]));
  const text = query.get('cursor') || undefined;
  return {
    window: { sinceMs, beforeMs, direction, ...options },
    limit,
    filters,
    binding,
    cursor: text === undefined ? undefined : { ...readCursor(text, binding), text },
  };
}
