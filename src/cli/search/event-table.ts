import { printable } from '../../base/text.ts';
import { member, textMember } from '../../formats/audit-entry.ts';
import type { FoundEvent } from '../../search/answer.ts';
import type { PageRest } from '../../search/contract.ts';

/** Widths: `usual` before later cells are known; cells are not cut below `least`. */
type Column = Readonly<Record<'usual' | 'least' | 'most', number>> &
  Readonly<{ title: string; of: (event: ShownEvent) => string }>;

export const timeOf = ({ actionTime }: Pick<ShownEvent, 'actionTime'>): string =>
  actionTime === null ? '-' : actionTime.replace(/\.\d+Z$/, 'Z');

type Actor = 'actorEmail' | 'actorTokenName' | 'actorId' | 'actorIpAddress' | 'actorType';

export const actorOf = ({
  actorEmail,
  actorTokenName,
  actorId,
  actorIpAddress,
  actorType,
}: Pick<ShownEvent, Actor>): string => actorEmail ?? actorTokenName ?? actorId ?? actorIpAddress ?? actorType ?? '-';

type Resource = 'resourceProduct' | 'resourceType' | 'resourceId';

export const resourceOf = ({ resourceProduct, resourceType, resourceId }: Pick<ShownEvent, Resource>): string =>
  [resourceProduct, resourceType, resourceId].filter((part) => part !== null).join(' ') || '-';

const accountColumn: Column = {
  title: 'ACCOUNT',
  usual: 18,
  least: 7,
  most: 28,
  of: ({ accountName, listedAccountName, accountId }) => accountName ?? listedAccountName ?? accountId ?? '-',
};
const columns: readonly Column[] = [
  { title: 'TIME', usual: 20, least: 20, most: 30, of: timeOf },
  {
    title: 'ORGANIZATION',
    usual: 20,
    least: 6,
    most: 28,
    of: ({ organizationName, organizationId }) => organizationName ?? organizationId ?? '-',
  },
  { title: 'ACTOR', usual: 28, least: 8, most: 40, of: actorOf },
  { title: 'ACTION', usual: 10, least: 6, most: 20, of: ({ actionType }) => actionType ?? '-' },
  { title: 'RESULT', usual: 8, least: 7, most: 12, of: ({ actionResult }) => actionResult ?? '-' },
  { title: 'RESOURCE', usual: 40, least: 8, most: 60, of: resourceOf },
  { title: 'POSITION', usual: 9, least: 8, most: 16, of: ({ position }) => String(position) },
];

const BETWEEN = '  ';

/** Newest first; has a column of accounts if needed. Lines are longer than `width` if all columns are at their least. */
export const eventLines = (events: readonly ShownEvent[], width: number | undefined): string[] => {
  const hasAccounts = events.some(({ accountId }) => accountId !== null);
  const shown = columns.flatMap((column) =>
    column.title === 'ORGANIZATION' && hasAccounts ? [column, accountColumn] : [column],
  );
  const rows = events.map((event) => shown.map(({ of, most }) => printable(of(event), most)));
  const natural = shown.map(({ title }, index) =>
    Math.max(title.length, ...rows.map((row) => row[index]?.length ?? 0)),
  );
  const widths = fitted(shown, natural, width);
  return [shown.map(({ title }) => title), ...rows].map((row) => lineOf(row, widths, width));
};

/** For events that come one after the other. */
export const eventTable = (width: number | undefined) => {
  const usual = columns.map((column) => column.usual);
  const widths = fitted(columns, usual, width);
  const titles = columns.map(({ title }) => title);
  const cellsOf = (event: ShownEvent) => columns.map(({ of, most }) => printable(of(event), most));
  return {
    header: (): string => lineOf(titles, widths, width),
    row: (event: ShownEvent): string => lineOf(cellsOf(event), widths, width),
  };
};

/** The column with most to spare gives way first. */
const fitted = (shown: readonly Column[], natural: readonly number[], width: number | undefined): readonly number[] => {
  if (width === undefined) return natural;
  const widths = [...natural];
  const total = () => widths.reduce((sum, one) => sum + one, BETWEEN.length * (widths.length - 1));
  while (total() > width) {
    const spare = widths.map((one, index) => one - (shown[index]?.least ?? one));
    const most = Math.max(...spare);
    if (most <= 0) break;
    const index = spare.indexOf(most);
    widths[index] = (widths[index] ?? 0) - 1;
  }
  return widths;
};

const lineOf = (cells: readonly string[], widths: readonly number[], width: number | undefined): string =>
  cells
    .map((cell, index) => {
      const own = widths[index] ?? cell.length;
      return (width === undefined ? cell : printable(cell, own)).padEnd(own);
    })
    .join(BETWEEN)
    .trimEnd();

/** `listedAccountName`: of the database alone. */
export type ShownEvent = ReturnType<typeof shownOf> & Pick<FoundEvent, 'listedAccountName'>;

export type ShownAnswer = PageRest & { readonly events: readonly ShownEvent[] };

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** From an envelope of the native format. Null for what is no text. */
export const shownOf = (envelope: unknown) => {
  const of = (name: string) => text(member(envelope, name));
  const raw = member(envelope, 'raw');
  const at = (part: string, name: string) => textMember(member(raw, part), name) ?? null;
  return {
    position: Number(member(envelope, 'position')),
    actionTime: of('action_time'),
    organizationId: of('organization_id'),
    organizationName: of('organization_name'),
    accountId: of('account_id'),
    accountName: of('account_name'),
    actorEmail: at('actor', 'email'),
    actorTokenName: at('actor', 'token_name'),
    actorId: at('actor', 'id'),
    actorIpAddress: at('actor', 'ip_address'),
    actorType: at('actor', 'type'),
    actionType: at('action', 'type'),
    actionResult: at('action', 'result'),
    resourceProduct: at('resource', 'product'),
    resourceType: at('resource', 'type'),
    resourceId: at('resource', 'id'),
  };
};
