import { textDefects } from '../ingest/entries/entry.ts';
import { type FeedEvent, isOfAccount } from './feed-event.ts';
import { cleanJson, cleanText } from './json-line.ts';

/** Where in an entry its documented fields are. The Ray id has an older name, too. */
const paths = {
  accountId: ['account', 'id'],
  accountName: ['account', 'name'],
  actionDescription: ['action', 'description'],
  actionResult: ['action', 'result'],
  actionTime: ['action', 'time'],
  actionType: ['action', 'type'],
  actorContext: ['actor', 'context'],
  actorEmail: ['actor', 'email'],
  actorId: ['actor', 'id'],
  actorIpAddress: ['actor', 'ip_address'],
  actorTokenId: ['actor', 'token_id'],
  actorTokenName: ['actor', 'token_name'],
  actorType: ['actor', 'type'],
  organizationId: ['organization', 'id'],
  rayId: ['raw', 'cf_ray_id', 'cf_rayid'],
  method: ['raw', 'method'],
  uri: ['raw', 'uri'],
  userAgent: ['raw', 'user_agent'],
  resourceId: ['resource', 'id'],
  resourceProduct: ['resource', 'product'],
  resourceScope: ['resource', 'scope'],
  resourceType: ['resource', 'type'],
  zoneId: ['zone', 'id'],
  zoneName: ['zone', 'name'],
} as const satisfies Record<string, readonly [string, string, string?]>;

type TextName = keyof typeof paths;
type JsonObject = Readonly<Record<string, unknown>>;

/** What formats read of an entry: clean (see json-line.ts), each part undefined if it is missing or something else. */
export interface AuditEntry {
  /** The exact JSON text. */
  readonly exactText: string;
  /** The whole entry; undefined if the text is no JSON. */
  readonly value: unknown;
  readonly isObject: boolean;
  /** The documented texts, without those that are empty or no text. */
  readonly texts: { readonly [name in TextName]?: string };
  /** An HTTP status, 100 to 599. */
  readonly statusCode: number | undefined;
  readonly request: unknown;
  readonly response: unknown;
}

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The member of an object; undefined for anything else, and for what is inherited. */
export const member = (value: unknown, key: string): unknown =>
  isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;

/** The member of an object if it is a text that is not empty. */
export const textMember = (value: unknown, key: string): string | undefined => {
  const text = member(value, key);
  return typeof text === 'string' && text !== '' ? text : undefined;
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const exactTextOf = ({ rawText, defects }: FeedEvent): string => {
  if (defects === null || !defects.some((defect) => (textDefects as readonly string[]).includes(defect)))
    return rawText;
  const held = parsed(rawText);
  return typeof held === 'string' ? held : rawText;
};

interface DocumentedField {
  readonly name: TextName;
  /** From the newest on. */
  readonly keys: readonly string[];
}

/** What is documented, by the part of an entry that it is in. */
const sections: readonly { readonly section: string; readonly fields: readonly DocumentedField[] }[] = [
  ...Map.groupBy(Object.entries(paths), ([, [section]]) => section),
].map(([section, members]) => ({
  section,
  fields: members.map(([name, [, ...keys]]) => ({ name: name as TextName, keys })),
}));

const readTexts = (value: unknown): AuditEntry['texts'] => {
  const texts: { [name in TextName]?: string } = {};
  for (const { section, fields } of sections) {
    const part = member(value, section);
    if (!isJsonObject(part)) continue;
    for (const { name, keys } of fields) {
      const key = keyOf(part, keys);
      if (key !== undefined) texts[name] = part[key] as string;
    }
  }
  return texts;
};

/** The first of the keys under which there is a text. */
const keyOf = (part: unknown, keys: readonly string[]): string | undefined => {
  for (const key of keys) if (textMember(part, key) !== undefined) return key;
  return undefined;
};

/** Reads what a format needs of the event's entry. */
export const readAuditEntry = (event: FeedEvent): AuditEntry => {
  const exactText = exactTextOf(event);
  const shownText = cleanText(exactText);
  const value = cleanJson(parsed(exactText), shownText === exactText && !exactText.includes('\\u'));
  const status = member(member(value, 'raw'), 'status_code');
  const resource = member(value, 'resource');
  return {
    exactText: shownText,
    value,
    isObject: isJsonObject(value),
    texts: readTexts(value),
    statusCode: Number.isInteger(status) && Number(status) >= 100 && Number(status) <= 599 ? Number(status) : undefined,
    request: member(resource, 'request'),
    response: member(resource, 'response'),
  };
};

/** Texts, or a part by its path (`raw.status_code`), that an output has in full elsewhere. */
export type MappedName =
  | TextName
  | 'id'
  | 'raw.status_code'
  | 'resource.scope'
  | 'resource.request'
  | 'resource.response';
export type Mapped = ReadonlySet<MappedName>;

/** Of an account and a zone, which only events of accounts have as fields. */
const ofAccounts = ['accountId', 'accountName', 'zoneId', 'zoneName'] as const;
type OfAccount = (typeof ofAccounts)[number];

/** True unless the event says nothing of it, or something else than its entry. */
export const isEventField = ({ texts }: AuditEntry, event: FeedEvent, name: TextName): boolean => {
  if (name === 'organizationId') return texts.organizationId === event.organizationId;
  if (!(ofAccounts as readonly string[]).includes(name)) return true;
  return isOfAccount(event) && texts[name] === event[name as OfAccount];
};

/** Documented texts by section and key. */
const fieldsByKey: ReadonlyMap<string, ReadonlyMap<string, DocumentedField>> = new Map(
  sections.map(({ section, fields }) => [
    section,
    new Map(fields.flatMap((field) => field.keys.map((key) => [key, field] as const))),
  ]),
);

/** Parts that an output may have in full, of any type, by section and key. */
const partsByKey: ReadonlyMap<string, ReadonlyMap<string, MappedName>> = new Map<
  string,
  ReadonlyMap<string, MappedName>
>([
  ['raw', new Map([['status_code', 'raw.status_code']])],
  [
    'resource',
    new Map([
      ['scope', 'resource.scope'],
      ['request', 'resource.request'],
      ['response', 'resource.response'],
    ]),
  ],
]);

const isMapped = (section: string, part: JsonObject, key: string, mapped: Mapped): boolean => {
  const path = partsByKey.get(section)?.get(key);
  if (path !== undefined && mapped.has(path)) return true;
  const field = fieldsByKey.get(section)?.get(key);
  return field !== undefined && mapped.has(field.name) && keyOf(part, field.keys) === key;
};

/** What is left of a part of the entry; undefined if that is nothing. */
const unmappedPart = (section: string, part: JsonObject, mapped: Mapped): JsonObject | undefined => {
  const left: [string, unknown][] = [];
  for (const key of Object.keys(part)) if (!isMapped(section, part, key, mapped)) left.push([key, part[key]]);
  return left.length === 0 ? undefined : Object.fromEntries(left);
};

/** What is left of the entry without what is mapped; undefined if that is nothing. */
export const unmappedRest = ({ value }: AuditEntry, mapped: Mapped): unknown => {
  if (!isJsonObject(value)) return value;
  const rest: [string, unknown][] = [];
  for (const section of Object.keys(value)) {
    if (section === 'id' && mapped.has('id')) continue;
    const part = value[section];
    const left = isJsonObject(part) ? unmappedPart(section, part, mapped) : part;
    if (left !== undefined) rest.push([section, left]);
  }
  return rest.length === 0 ? undefined : Object.fromEntries(rest);
};
