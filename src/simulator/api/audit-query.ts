import { keyOf, type SourceKind, type SourceRef, sourceKey } from '../entries/entry-text.ts';
import type { LogPosition, LogWindow } from '../world/audit-log.ts';
import { productsOf } from './accounts-api.ts';
import { BadRequest, decodeToken, encodeToken } from './reply.ts';

export interface AuditQuery {
  readonly window: LogWindow;
  readonly limit: number;
  readonly filters: AuditFilters;
  /** With its text; undefined for the first page. */
  readonly cursor: (Cursor & { readonly text: string }) | undefined;
  /** Stands for all other parameters; a cursor is bound to it. */
  readonly binding: number;
}

export type AuditQueryOptions = Readonly<{ sinceInclusive: boolean; beforeInclusive: boolean }>;
const dateForm = /^(\d{4})-(\d{2})-(\d{2})$/;
const timestampForm = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

/** Milliseconds since the epoch, with fractions, of a date (midnight UTC) or an RFC 3339 timestamp; undefined for anything else. */
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

/** Throws BadRequest for Cloudflare's 400. */
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

type Path = readonly [string, string?];

const members = {
  action: ['result', 'type'],
  actor: ['context', 'email', 'id', 'ip_address', 'token_id', 'token_name', 'type'],
  raw: ['cf_ray_id', 'method', 'status_code', 'uri'],
  resource: ['id', 'product', 'scope', 'type'],
};
const memberPaths = Object.entries(members).flatMap(([part, names]) =>
  names.map((name): [string, Path] => [`${part}_${name}`, [part, name]]),
);

/** Where each filter looks. */
const paths: Readonly<Record<string, Path>> = { id: ['id'], ...Object.fromEntries(memberPaths) };

const accountPaths: Readonly<Record<string, Path>> = {
  ...paths,
  account_name: ['account', 'name'],
  audit_log_id: ['id'],
  zone_id: ['zone', 'id'],
  zone_name: ['zone', 'name'],
};

export const auditFilterNames: readonly string[] = Object.keys(paths);
export const accountFilterNames: readonly string[] = Object.keys(accountPaths);

/** `isWanted`: false for `.not`. */
type Condition = Readonly<{ path: Path; values: ReadonlySet<string>; isWanted: boolean }>;

export interface AuditFilters {
  /** Canonical text of the conditions: a cursor is bound to it. */
  readonly signature: string;
  /** Undefined: every entry. */
  readonly matches: ((text: string) => boolean) | undefined;
}

const member = (container: unknown, name: string): unknown =>
  typeof container === 'object' && container !== null ? (container as Record<string, unknown>)[name] : undefined;

function valueAt(entry: unknown, [first, second]: Path): string | undefined {
  const outer = member(entry, first);
  // The Ray id has an older name.
  const value =
    second === undefined
      ? outer
      : (member(outer, second) ?? (second === 'cf_ray_id' ? member(outer, 'cf_rayid') : undefined));
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

// Only logs of accounts have categories, which add products.
function productsOfCategories(query: URLSearchParams, kind: SourceKind): string[] {
  if (kind !== 'account') return [];
  return query.getAll('product_category').flatMap((name) => {
    const products = productsOf(name);
    if (products === undefined) throw new BadRequest(`unknown product_category: ${name}`);
    return products;
  });
}

/** Ignores unknown parameters and empty filters. Throws BadRequest for an unknown product category. */
function auditFilters(query: URLSearchParams, kind: SourceKind = 'organization'): AuditFilters {
  const conditions: Condition[] = [];
  const signature: string[] = [];
  const products = productsOfCategories(query, kind);
  for (const [name, path] of Object.entries(kind === 'account' ? accountPaths : paths)) {
    for (const isWanted of [true, false]) {
      const given = query.getAll(isWanted ? name : `${name}.not`).filter((value) => value !== '');
      const values = isWanted && name === 'resource_product' ? [...given, ...products] : given;
      if (values.length === 0) continue;
      conditions.push({ path, values: new Set(values), isWanted });
      signature.push(JSON.stringify([name, isWanted, values.sort()]));
    }
  }
  if (conditions.length === 0) return { signature: '', matches: undefined };
  return {
    signature: signature.join(),
    matches: (text) => {
      const entry: unknown = JSON.parse(text);
      return conditions.every(({ path, values, isWanted }) => {
        const value = valueAt(entry, path);
        return value === undefined ? !isWanted : values.has(value) === isWanted;
      });
    },
  };
}

export interface Cursor {
  /** Undefined: from the first entry. */
  readonly after: LogPosition | undefined;
  /** From 1. */
  readonly onPage: number;
  /** Milliseconds since the epoch. */
  readonly issuedMs: number;
  /** Always answered with this status. */
  readonly refusedWith?: number | undefined;
  /** Makes cursors to one place differ. */
  readonly salt?: number | undefined;
  /** Place in a `cursor_cycle`, from 1, and the text of the first cursor. */
  readonly cycle?: { readonly place: number; readonly first?: string | undefined } | undefined;
}

/** `binding` stands for its parameters. */
export function writeCursor(binding: number, cursor: Cursor): string {
  const { after, onPage, issuedMs, refusedWith, salt, cycle } = cursor;
  const place = after === undefined ? {} : { t: after.orderMs, n: after.seq };
  const round = cycle === undefined ? {} : { c: cycle.place, f: cycle.first };
  return encodeToken({ v: 3, b: binding, ...place, p: onPage, i: issuedMs, x: refusedWith, s: salt, ...round });
}

/** Throws BadRequest if invalid or of other parameters. */
function readCursor(text: string, binding: number): Cursor {
  const content = decodeToken(text);
  if (content?.['v'] !== 3) throw new BadRequest('invalid cursor');
  if (content['b'] !== binding) throw new BadRequest('cursor does not belong to these parameters');
  const { t, n, p, i, x, c, f } = content as Record<string, number | undefined> & { f?: string };
  return {
    after: t === undefined || n === undefined ? undefined : { orderMs: t, seq: n },
    onPage: p ?? 1,
    issuedMs: i ?? 0,
    refusedWith: x,
    cycle: c === undefined ? undefined : { place: c, first: f },
  };
}
