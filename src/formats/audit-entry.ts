import { textDefects } from '../ingest/entries/entry.ts';
import { type FeedEvent, isOfAccount } from './format.ts';
import { cleanJson, cleanText, isPlain } from './text.ts';

/** Paths of the documented fields. The Ray id has an older name, too. */
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
export const textNames = Object.keys(paths) as readonly TextName[];
type JsonObject = Readonly<Record<string, unknown>>;

/** Clean (text.ts), each part undefined if missing or something else. */
export interface AuditEntry {
  readonly exactText: string;
  /** Undefined if the text is no JSON. */
  readonly value: unknown;
  readonly isObject: boolean;
  /** No text of the entry or its event needs an escape in a line. */
  readonly isPlain: boolean;
  /** Undefined if missing, empty or no text. */
  readonly texts: { readonly [name in TextName]: string | undefined };
  /** An HTTP status, 100 to 599. */
  readonly statusCode: number | undefined;
  readonly request: unknown;
  readonly response: unknown;
}

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Own member of an object; undefined for anything else. */
export const member = (value: unknown, key: string): unknown =>
  isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;

/** Undefined if empty or no text. */
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
  /** Newest first. */
  readonly keys: readonly string[];
}

/** By the part of an entry. */
const sections: readonly { readonly section: string; readonly fields: readonly DocumentedField[] }[] = [
  ...Map.groupBy(Object.entries(paths), ([, [section]]) => section),
].map(([section, members]) => ({
  section,
  fields: members.map(([name, [, ...keys]]) => ({ name: name as TextName, keys })),
}));

/** In one order: engines read objects of one shape quickly. */
const noTexts = Object.fromEntries(textNames.map((name) => [name, undefined])) as {
  readonly [name in TextName]: undefined;
};

const readTexts = (value: unknown): AuditEntry['texts'] => {
  const texts: { [name in TextName]: string | undefined } = { ...noTexts };
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

/** The first key with a text. */
const keyOf = (part: JsonObject, keys: readonly string[]): string | undefined => {
  for (const key of keys) if (textMember(part, key) !== undefined) return key;
  return undefined;
};

const textsBeside = (event: FeedEvent): string =>
  `${event.id}${event.feedId}${event.sourceKind}${event.sourceId}${event.organizationId}${event.organizationName}` +
  `${event.accountId}${event.accountName}${event.zoneId}${event.zoneName}${event.actionTime}${event.receivedAt}${event.defects}`;

export const readAuditEntry = (event: FeedEvent): AuditEntry => {
  const exactText = exactTextOf(event);
  const shownText = cleanText(exactText);
  const isUnescaped = shownText === exactText && !exactText.includes('\\u');
  const value = cleanJson(parsed(exactText), isUnescaped);
  const status = member(member(value, 'raw'), 'status_code');
  const resource = member(value, 'resource');
  return {
    exactText: shownText,
    value,
    isObject: isJsonObject(value),
    isPlain: isUnescaped && isPlain(exactText) && isPlain(textsBeside(event)),
    texts: readTexts(value),
    statusCode: Number.isInteger(status) && Number(status) >= 100 && Number(status) <= 599 ? Number(status) : undefined,
    request: member(resource, 'request'),
    response: member(resource, 'response'),
  };
};

const wholeParts = ['raw.status_code', 'resource.scope', 'resource.request', 'resource.response'] as const;
/** What an output may show in full elsewhere: a text, or a part by its path. */
export type MappedName = TextName | 'id' | (typeof wholeParts)[number];
/** A set of names as a sum of `bitOf`, made for each event: a `Set` takes several times as long. */
export type Mapped = number;

export const bitOf: Readonly<Record<MappedName, Mapped>> = Object.fromEntries(
  [...textNames, 'id', ...wholeParts].map((name, index) => [name, 1 << index]),
) as Record<MappedName, Mapped>;

const ofAccounts = ['accountId', 'accountName', 'zoneId', 'zoneName'] as const;
type OfAccount = (typeof ofAccounts)[number];

/** False if the event lacks it or differs from its entry. */
export const isEventField = ({ texts }: AuditEntry, event: FeedEvent, name: TextName): boolean => {
  if (name === 'organizationId') return texts.organizationId === event.organizationId;
  if (!(ofAccounts as readonly string[]).includes(name)) return true;
  return isOfAccount(event) && texts[name] === event[name as OfAccount];
};

interface Mappable {
  /** Of any type; 0 if no output has it. */
  readonly whole: Mapped;
  readonly text: Mapped;
  readonly keys: readonly string[];
}

const nothingMappable: Mappable = { whole: 0, text: 0, keys: [] };

const mappableIn = (section: string, fields: readonly DocumentedField[]): ReadonlyMap<string, Mappable> => {
  const found = new Map<string, Mappable>();
  for (const { name, keys } of fields) for (const key of keys) found.set(key, { whole: 0, text: bitOf[name], keys });
  for (const path of wholeParts) {
    const key = path.startsWith(`${section}.`) ? path.slice(section.length + 1) : undefined;
    if (key !== undefined) found.set(key, { ...(found.get(key) ?? nothingMappable), whole: bitOf[path] });
  }
  return found;
};

const mappable: ReadonlyMap<string, ReadonlyMap<string, Mappable>> = new Map(
  sections.map(({ section, fields }) => [section, mappableIn(section, fields)]),
);

const isMapped = (part: JsonObject, key: string, { whole, text, keys }: Mappable, mapped: Mapped): boolean =>
  (whole & mapped) !== 0 || ((text & mapped) !== 0 && keyOf(part, keys) === key);

/** An assignment to `__proto__` would lose it. */
const setMember = (object: Record<string, unknown>, key: string, value: unknown): void => {
  if (key !== '__proto__') object[key] = value;
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
};

const unmappedPart = (section: string, part: JsonObject, mapped: Mapped): JsonObject | undefined => {
  const keys = mappable.get(section);
  if (keys === undefined) return Object.keys(part).length === 0 ? undefined : part;
  let left: Record<string, unknown> | undefined;
  for (const key of Object.keys(part)) {
    const known = keys.get(key);
    if (known === undefined || !isMapped(part, key, known, mapped)) {
      left ??= {};
      setMember(left, key, part[key]);
    }
  }
  return left;
};

/** The entry without what is mapped; undefined if nothing is left. */
export const unmappedRest = ({ value }: AuditEntry, mapped: Mapped): unknown => {
  if (!isJsonObject(value)) return value;
  let rest: Record<string, unknown> | undefined;
  for (const section of Object.keys(value)) {
    if (section === 'id' && (mapped & bitOf.id) !== 0) continue;
    const part = value[section];
    const left = isJsonObject(part) ? unmappedPart(section, part, mapped) : part;
    if (left === undefined) continue;
    rest ??= {};
    setMember(rest, section, left);
  }
  return rest;
};
