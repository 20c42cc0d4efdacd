import type { FoundEvent } from './answer.ts';

/** By their names in SQL. A contract. */
const columns: readonly (readonly [name: string, value: (event: FoundEvent) => string | number | boolean | null])[] = [
  ['position', (event) => event.position],
  ['action_time', (event) => event.actionTime],
  ['received_at', (event) => event.receivedAt],
  ['organization_id', (event) => event.organizationId],
  ['organization_name', (event) => event.organizationName],
  ['action_type', (event) => event.actionType],
  ['action_result', (event) => event.actionResult],
  ['action_description', (event) => event.actionDescription],
  ['actor_id', (event) => event.actorId],
  ['actor_type', (event) => event.actorType],
  ['actor_context', (event) => event.actorContext],
  ['actor_email', (event) => event.actorEmail],
  ['actor_ip_address', (event) => event.actorIpAddress],
  ['actor_token_id', (event) => event.actorTokenId],
  ['actor_token_name', (event) => event.actorTokenName],
  ['resource_id', (event) => event.resourceId],
  ['resource_product', (event) => event.resourceProduct],
  ['resource_type', (event) => event.resourceType],
  ['resource_scope', (event) => event.resourceScope],
  ['raw_cf_ray_id', (event) => event.rayId],
  ['raw_method', (event) => event.method],
  ['raw_status_code', (event) => event.statusCode],
  ['raw_uri', (event) => event.uri],
  ['raw_user_agent', (event) => event.userAgent],
  ['source_kind', (event) => event.sourceKind],
  ['source_id', (event) => event.sourceId],
  ['id', (event) => event.id],
  ['defects', (event) => event.defects?.join(' ') ?? null],
  ['changed', (event) => event.changed],
  ['account_id', (event) => event.accountId],
  ['account_name', (event) => event.accountName],
  ['zone_id', (event) => event.zoneId],
  ['zone_name', (event) => event.zoneName],
];

export const eventCsvHeader = (): string => csvRecord(columns.map(([name]) => name));

export const eventCsvRecord = (event: FoundEvent): string => csvRecord(columns.map(([, value]) => value(event)));

/** What makes a spreadsheet take a cell for a formula, as OWASP lists it (CSV injection), wide forms and white space in front included. */
const formulaStart = /^[\s\u00a0]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/;

/** RFC 4180. Texts are quoted, so that nothing in them can end a cell; an apostrophe, which spreadsheets do not show, stops formulas. */
export const csvRecord = (cells: readonly (string | number | boolean | null)[]): string =>
  `${cells.map(csvCell).join(',')}\r\n`;

const csvCell = (cell: string | number | boolean | null): string => {
  if (cell === null) return '';
  if (typeof cell !== 'string') return String(cell);
  return `"${(formulaStart.test(cell) ? `'${cell}` : cell).replaceAll('"', '""')}"`;
};
