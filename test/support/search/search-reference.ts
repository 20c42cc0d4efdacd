import type { Pool } from 'pg';
import { words } from '../process/words.ts';

/** A stored event, as far as searches look at it. */
interface ReferenceEvent {
  readonly position: number;
  /** Milliseconds; -Infinity where the entry has no time. */
  readonly timeMs: number;
  readonly organizationId: string;
  readonly columns: Readonly<Record<string, string | null>>;
  readonly raw: string;
}

/** A search as a link has it: times are instants. */
type ReferenceSearch = Readonly<Partial<Record<string, string>>>;

/** All events and organizations of a database, for asking again what a search should have found, slowly and simply. */
export interface SearchReference {
  /** Search stored events, newest first. `organizationId`: what the organization of it is. */
  matching(search: ReferenceSearch, organizationId: string | undefined): readonly ReferenceEvent[];
  /** Whether each value that is searched for has any event. */
  allOccur(search: ReferenceSearch): boolean;
}

const compared = words(`
  organization_id action_type action_result resource_product resource_type resource_id raw_cf_ray_id actor_email
  actor_id actor_token_id actor_token_name actor_ip_address`);

export const readReference = async (pool: Pool): Promise<SearchReference> => {
  const { rows } = await pool.query<{ event: Record<string, string | null>; time_ms: number | null; raw: string }>(
    `select json_build_object('position', position, ${compared.map((name) => `'${name}', ${name}`).join(', ')}) as event, raw::text as raw,
       case when isfinite(action_time) then (extract(epoch from action_time) * 1000)::float8 end as time_ms
     from audit_events e order by action_time desc, position desc`,
  );
  const events = rows.map(({ event, time_ms, raw }) => ({
    position: Number(event['position']),
    timeMs: time_ms ?? Number.NEGATIVE_INFINITY,
    organizationId: String(event['organization_id']),
    columns: event,
    raw,
  }));
  const values = (search: ReferenceSearch) =>
    Object.entries(search).filter(([field]) => !['since', 'before', 'organization'].includes(field)) as [
      string,
      string,
    ][];
  return {
    matching: (search, organizationId) =>
      events.filter(
        (event) =>
          !(search['since'] !== undefined && event.timeMs < Date.parse(search['since'])) &&
          !(search['before'] !== undefined && event.timeMs >= Date.parse(search['before'])) &&
          (organizationId === undefined || event.organizationId === organizationId) &&
          values(search).every(([field, value]) => meets(event, field, value)),
      ),
    allOccur: (search) => values(search).every(([field, value]) => events.some((event) => meets(event, field, value))),
  };
};

const plain: Readonly<Record<string, string>> = { resource: 'resource_id', ray: 'raw_cf_ray_id' };
const enumerated: Readonly<Record<string, string>> = {
  action: 'action_type',
  result: 'action_result',
  product: 'resource_product',
  resource_type: 'resource_type',
};

const meets = ({ columns, raw }: ReferenceEvent, field: string, value: string): boolean => {
  if (field === 'text') return raw.toLowerCase().includes(value.toLowerCase());
  if (field === 'actor') return isActor(columns, value);
  if (field in enumerated) return same(columns[enumerated[field] ?? ''], value);
  return columns[plain[field] ?? ''] === value;
};

const same = (stored: string | null | undefined, value: string): boolean =>
  stored?.toLowerCase() === value.toLowerCase();

/** As docs/console.md says it. */
const isActor = (columns: ReferenceEvent['columns'], written: string): boolean => {
  const [, kind = 'any', value = written] = /^(email|ip|id|token):(.+)$/s.exec(written) ?? [];
  const { actor_email, actor_id, actor_token_id, actor_token_name, actor_ip_address: address } = columns;
  const isWord = value.length > 1 && value.endsWith('*');
  const begins = (stored: string | null | undefined): boolean =>
    stored?.toLowerCase().startsWith(value.slice(0, -1).toLowerCase()) ?? false;
  const network = kind === 'any' || kind === 'ip' ? networkOf(value) : undefined;
  if (network !== undefined) return address !== null && address !== undefined && isWithin(address, network);
  if (isWord) {
    const isAddress = kind === 'ip' || (kind === 'any' && /^[\d.]+\.[\d.]*\*$|^[0-9a-f]*:[0-9a-f:]*\*$/i.test(value));
    if (isAddress) return begins(address);
    const beginsToken = begins(actor_token_name) || actor_token_id?.startsWith(value.slice(0, -1)) === true;
    return (kind !== 'token' && begins(actor_email)) || (kind !== 'email' && !value.includes('@') && beginsToken);
  }
  if (kind === 'email' || (kind === 'any' && value.includes('@'))) return same(actor_email, value);
  if (kind === 'id') return actor_id === value;
  const isToken = actor_token_id === value || same(actor_token_name, value);
  if (kind === 'token') return isToken;
  return kind === 'ip'
    ? address === value
    : isToken || same(actor_email, value) || actor_id === value || address === value;
};

interface Network {
  readonly bits: string;
}

/** Of an address or a network, its leading bits. Only spellings that the tests use. */
const networkOf = (text: string): Network | undefined => {
  const [address = '', length] = text.split('/');
  const bits = bitsOf(address);
  // The version comes first.
  return bits === undefined
    ? undefined
    : { bits: bits.slice(0, length === undefined ? undefined : Number(length) + 1) };
};

const isWithin = (address: string, { bits }: Network): boolean => {
  const own = bitsOf(address);
  return own?.startsWith(bits) ?? false;
};

const bitsOf = (address: string): string | undefined => {
  if (/^\d+(\.\d+){3}$/.test(address)) {
    return `4${address
      .split('.')
      .map((octet) => Number(octet).toString(2).padStart(8, '0'))
      .join('')}`;
  }
  if (!/^[0-9a-f:]+$/i.test(address) || !address.includes(':')) return undefined;
  const [head = '', tail] = address.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const middle = tail === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => '0');
  const all = [...left, ...middle, ...right];
  if (all.length !== 8) return undefined;
  return `6${all.map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('')}`;
};
