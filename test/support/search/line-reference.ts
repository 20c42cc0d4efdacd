/** A row of `audit_events`, with the text of the entry as `text`. */
export type Row = Readonly<Record<string, unknown>>;
interface Value {
  /** Of a line; `entry_id` for its `id`. */
  readonly field: string;
  readonly text: string;
}

/** As docs/console.md says it, and nothing else: without the code that is tested. */
export const meets = (row: Row, { field, text: value }: Value): boolean => {
  const text = (column: string): string | undefined => {
    const found = row[column];
    return found === null || found === undefined ? undefined : String(found);
  };
  const low = (one: string | undefined) => one?.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const isOpenAtFront = value.length > 1 && value.startsWith('*');
  const start = value.length > 1 && value.endsWith('*') && !isOpenAtFront ? value.slice(0, -1) : undefined;
  const exactly = (column: string): boolean =>
    isOpenAtFront
      ? anyCase(column)
      : start === undefined
        ? text(column) === value
        : (text(column)?.startsWith(start) ?? false);
  const anyCase = (column: string): boolean => {
    const found = low(text(column));
    if (found === undefined) return false;
    const [front, end] = [value.startsWith('*'), value.endsWith('*')];
    const inner = low(value.slice(front ? 1 : 0, end ? -1 : undefined)) ?? '';
    if (front && end) return found.includes(inner);
    if (front) return found.endsWith(inner);
    return end ? found.startsWith(inner) : found === inner;
  };
  const ip = (): boolean => {
    const found = text('actor_ip_address');
    if (found === undefined) return false;
    if (isOpenAtFront) return anyCase('actor_ip_address');
    if (start !== undefined) return low(found)?.startsWith(low(start) ?? '') ?? false;
    const [address = '', length] = value.split('/');
    const [wanted, has] = [bitsOf(address), bitsOf(found)];
    if (wanted === undefined || has === undefined) return found === value;
    const bits = length === undefined ? wanted.length : Number(length) + 1;
    return has.slice(0, bits) === wanted.slice(0, bits);
  };
  const kinds: Readonly<Record<string, () => boolean>> = {
    email: () => anyCase('actor_email'),
    ip,
    id: () => exactly('actor_id'),
    token: () => exactly('actor_token_id') || anyCase('actor_token_name'),
  };
  const actor = (): boolean => {
    const [, kind, rest] = /^(email|ip|id|token):(.+)$/s.exec(value) ?? [];
    if (kind !== undefined) return meets(row, { field: kind === 'id' ? 'actor_id' : kind, text: rest ?? '' });
    if (value.includes('@')) return anyCase('actor_email');
    if (bitsOf(value.split('/')[0] ?? '') !== undefined) return ip();
    if (start !== undefined && (/^\d{1,3}\.[\d.]*$/.test(start) || /^[0-9a-f]{1,4}:[0-9a-f:]*$/i.test(start)))
      return ip();
    if (start !== undefined) return anyCase('actor_email') || (kinds['token']?.() ?? false);
    return (
      anyCase('actor_email') || exactly('actor_id') || exactly('actor_ip_address') || (kinds['token']?.() ?? false)
    );
  };
  const status = (): boolean => {
    const code = row['raw_status_code'];
    if (typeof code !== 'number') return false;
    const [, sign = '', number = ''] = /^([<>]=?)?(\d{3})$/.exec(value) ?? [];
    if (number !== '') {
      const than = Number(number);
      if (sign === '>') return code > than;
      if (sign === '>=') return code >= than;
      if (sign === '<') return code < than;
      return sign === '<=' ? code <= than : code === than;
    }
    if (/^\dxx$/i.test(value)) return Math.floor(code / 100) === Number(value[0]);
    const [from, to] = value.split('-').map(Number);
    return code >= (from ?? 0) && code <= (to ?? 0);
  };
  const fields: Readonly<Record<string, () => boolean>> = {
    ...kinds,
    actor,
    status,
    actor_id: kinds['id'] as () => boolean,
    organization: () => text('organization_id') === value,
    account: () => text('account_id') === value,
    zone: () =>
      /^\*|\*$/.test(value)
        ? anyCase('zone_id') || anyCase('zone_name')
        : text('zone_id') === value || low(text('zone_name')) === low(value),
    actor_type: () => anyCase('actor_type'),
    context: () => anyCase('actor_context'),
    method: () => anyCase('raw_method'),
    uri: () => anyCase('raw_uri'),
    agent: () => anyCase('raw_user_agent'),
    action: () => anyCase('action_type'),
    result: () => anyCase('action_result'),
    product: () => anyCase('resource_product'),
    resource_type: () => anyCase('resource_type'),
    resource: () => exactly('resource_id'),
    ray: () => exactly('raw_cf_ray_id'),
    // Of the entry, `id` is its own id; of an actor it is another one.
    entry_id: () => exactly('id'),
    effect: () => effectsOf(row).includes(low(value) ?? ''),
    text: () => low(text('text'))?.includes(low(value) ?? '') ?? false,
  };
  const found = fields[field];
  if (found === undefined) throw new Error(`no reference for ${field}`);
  return found();
};

/** A batch is an entry with lists of what it creates, changes and deletes. */
const effectsOf = ({ raw_uri: uri, action_type: action, text }: Row): readonly string[] => {
  const { posts, patches, puts, deletes } = JSON.parse(String(text)).resource?.request ?? {};
  const has = (...lists: readonly (readonly unknown[] | undefined)[]) => lists.some((list) => list?.length);
  const kinds = { create: has(posts), update: has(patches, puts), delete: has(deletes) };
  const done = Object.entries(kinds).flatMap(([kind, is]) => (is ? [kind] : []));
  if (String(uri).includes('/batch') && done.length > 0) return done.length > 1 ? ['mixed', ...done] : done;
  return [String(action).toLowerCase()].filter((one) => one in kinds);
};

/** The bits of an address behind its version; undefined if it is none. By its own reading of RFC 4291. */
const bitsOf = (text: string): string | undefined => {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  const octets = v4?.slice(1).map(Number);
  if (octets !== undefined) {
    if (octets.some((octet) => octet > 255)) return undefined;
    return `4${octets.map((octet) => octet.toString(2).padStart(8, '0')).join('')}`;
  }
  if (!text.includes(':')) return undefined;
  const spelled = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((group) => group.toString(16)).join(':'),
  );
  const [head = '', tail] = spelled.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const missing = 8 - groups(head).length - groups(tail ?? '').length;
  const all = [
    ...groups(head),
    ...Array.from({ length: tail === undefined ? 0 : missing }, () => '0'),
    ...groups(tail ?? ''),
  ];
  if (all.length !== 8 || !all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return `6${all.map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('')}`;
};
