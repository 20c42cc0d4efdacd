/** Bits, so that a million entries keep their marks in a byte each. */
export const entryMark = { unknownEnum: 1, oldRayKey: 2 } as const;

type PartName = 'id' | 'action' | 'actor' | 'owner' | 'raw' | 'request' | 'response' | 'scope' | 'resourceType';
/** Each is one valid JSON value. */
export interface EntryParts extends Record<PartName, string> {
  /** `organization` or `account`. */
  ownerName: string;
  zone: string | undefined;
  /** Up to the payloads, without the braces. */
  resource: string;
}

const strangeTypes = ['login', 'rotate', 'View'] as const;

/** As the API writes it: milliseconds only if there are any. */
export function timeText(timeMs: number): string {
  const text = new Date(timeMs).toISOString();
  return timeMs % 1000 === 0 ? `${text.slice(0, 19)}Z` : text;
}

/** 32 hexadecimal digits, or a UUID of 36 characters. */
function idText(digits: string, bits: number): string {
  if ((bits & 64) === 0) return digits;
  const [a, b, c, d] = [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20)];
  return `${a}-${b}-${c}-${d}-${digits.slice(20)}`;
}

/** Of the `index`-th entry of this log: always the same for the same arguments. */
export function entryParts(voice: Voice, index: number, timeMs: number, marks: number): EntryParts {
  const a = mix(index ^ voice.key);
  const b = mix(a + 0x9e3779b9);
  const c = mix(b + 0x9e3779b9);
  const d = mix(c + 0x9e3779b9);
  const story = voice.stories[b % voice.stories.length] as Story;
  const isStrange = (marks & entryMark.unknownEnum) !== 0;
  const actors = isStrange ? voice.strangeActors : (story.actors ?? voice.actors);
  const failed = d % 29 === 0;
  const result = isStrange && c % 4 === 0 ? '' : failed ? 'failure' : 'success';
  const type = isStrange ? strangeTypes[c % 3] : story.actionType;
  const resourceId = hex8(c) + hex8(b) + hex8(d) + hex8(a);
  const rayKey = (marks & entryMark.oldRayKey) === 0 ? 'cf_ray_id' : 'cf_rayid';
  const time = timeText(timeMs);
  return {
    id: `"${idText(hex8(a) + hex8(b) + hex8(c) + hex8(d), a)}"`,
    action: `{"description":"${story.description}","result":"${result}","time":"${time}","type":"${type}"}`,
    actor: actors[c % actors.length] as string,
    ownerName: voice.source.kind,
    owner: voice.ownerText,
    zone: story.zone,
    raw:
      story.uri === ''
        ? '{}'
        : `{"${rayKey}":"${hex8(d)}${hex8(a)}","method":"${story.method}","status_code":${failed ? 500 : 200},"uri":"${story.uri}${story.hasId ? resourceId : ''}","user_agent":"${voice.agents[d % voice.agents.length]}"}`,
    resource: `"id":"${resourceId}","product":"${story.product}"`,
    request: story.request(a, b, c),
    response: story.response(b, c, d, resourceId, time),
    scope: story.scope,
    resourceType: `"${story.resourceType}"`,
  };
}

export const resourceText = (p: EntryParts): string =>
  `{${p.resource},"request":${p.request},"response":${p.response},"scope":${p.scope},"type":${p.resourceType}}`;

/** In the order of the documentation. */
export function joinParts(p: EntryParts): string {
  const isOfAccount = p.ownerName === 'account';
  const [front, middle] = isOfAccount ? [`"account":${p.owner},`, ''] : ['', `"organization":${p.owner},`];
  const zone = p.zone === undefined ? '' : `,"zone":${p.zone}`;
  return `{"id":${p.id},${front}"action":${p.action},"actor":${p.actor},${middle}"raw":${p.raw},"resource":${resourceText(p)}${zone}}`;
}

/** Pads the entry to this many bytes (UTF-8) unless it is longer. */
export function padParts(parts: EntryParts, bytes: number): void {
  const padding = (length: number): string => `{"padding":"${'0'.repeat(length)}"}`;
  const leastBytes = Buffer.byteLength(joinParts({ ...parts, request: padding(0) }));
  if (bytes > leastBytes) parts.request = padding(bytes - leastBytes);
}

type StoryName = 'description' | 'actionType' | 'method' | 'product' | 'resourceType';
/** Recurs in one audit log. */
export interface Story extends Readonly<Record<StoryName, string>> {
  /** Empty: no request is known, and `raw` is empty. */
  readonly uri: string;
  /** The id of the resource is appended to the uri. */
  readonly hasId: boolean;
  /** JSON text. */
  readonly scope: string;
  /** JSON text; absent: no member `zone`. */
  readonly zone?: string;
  /** JSON texts; absent: those of the voice. */
  readonly actors?: readonly string[];
  /** JSON text, from three random words. */
  readonly request: (a: number, b: number, c: number) => string;
  readonly response: (b: number, c: number, d: number, id: string, time: string) => string;
}

/** What the entries of one audit log are made of: the same people, the same resources. */
export interface Voice {
  /** For everything drawn for this log. */
  readonly key: number;
  readonly source: SourceRef;
  readonly ownerText: string;
  readonly actors: readonly string[];
  /** With undocumented values. */
  readonly strangeActors: readonly string[];
  readonly agents: readonly string[];
  readonly stories: readonly Story[];
}

export const answerText = (result: string): string => `{"success":true,"errors":[],"messages":[],"result":${result}}`;

/** No generator with state: a draw depends on key and counter alone, so the n-th entry can be made at any time, always the same. */

/** A bijection of 32-bit numbers. Unsigned. */
export function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The `counter`-th draw of stream `key`: 32 bits, unsigned, a bijection. */
export const draw = (key: number, counter: number): number => mix(mix(counter ^ key) + 0x9e3779b9);

/** True with this probability, by 32 drawn bits. */
export const isChosen = (bits: number, probability: number): boolean => bits < probability * 4294967296;

/** FNV-1a, 32 bits. */
export function keyOf(text: string, seed = 0): number {
  let h = (0x811c9dc5 ^ mix(seed)) >>> 0;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix(h);
}

const quads = Array.from({ length: 65536 }, (_, n) => n.toString(16).padStart(4, '0'));

export const hex8 = (bits: number): string => `${quads[bits >>> 16]}${quads[bits & 0xffff]}`;

export const sourceKinds = ['organization', 'account'] as const;
export type SourceKind = (typeof sourceKinds)[number];
/** An account may have the id of an organization: only kind and id name a log. */
export type SourceRef = Readonly<{ kind: SourceKind; id: string }>;

/** A plain id is that of an organization. */
export const sourceOf = (source: SourceRef | string): SourceRef =>
  typeof source === 'string' ? { kind: 'organization', id: source } : source;

export const sourceKey = ({ kind, id }: SourceRef): string => `${kind} ${id}`;
