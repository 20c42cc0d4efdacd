import { hex8, mix } from './random.ts';
import type { Story, Voice } from './voice.ts';

/** Marks of an entry that change how it is written. Bits, so that a million entries keep theirs in a byte each. */
export const entryMark = { unknownEnum: 1, oldRayKey: 2 } as const;

/** The JSON texts of an entry's members, before they are joined. Each is one valid JSON value. */
export interface EntryParts {
  id: string;
  action: string;
  actor: string;
  /** `organization` or `account`, and its value. */
  ownerName: string;
  owner: string;
  /** Undefined: the entry has no member `zone`. */
  zone: string | undefined;
  raw: string;
  /** Members of `resource` up to the payloads, without the braces. */
  resource: string;
  request: string;
  response: string;
  scope: string;
  resourceType: string;
}

const strangeTypes = ['login', 'rotate', 'View'] as const;

/** RFC 3339 in UTC as the API writes it: seconds, and milliseconds only if there are any. */
export function timeText(timeMs: number): string {
  const text = new Date(timeMs).toISOString();
  return timeMs % 1000 === 0 ? `${text.slice(0, 19)}Z` : text;
}

/** An id in one of the two forms that are served: 32 hexadecimal digits, or a UUID of 36 characters. */
function idText(digits: string, bits: number): string {
  if ((bits & 64) === 0) return digits;
  const [a, b, c, d] = [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20)];
  return `${a}-${b}-${c}-${d}-${digits.slice(20)}`;
}

/** The parts of the `index`-th entry that this log ever has: always the same for the same arguments. */
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

/** The member `resource`. */
export function resourceText(p: EntryParts): string {
  return `{${p.resource},"request":${p.request},"response":${p.response},"scope":${p.scope},"type":${p.resourceType}}`;
}

/** Joins the parts in the order in which the documentation shows them. */
export function joinParts(p: EntryParts): string {
  const isOfAccount = p.ownerName === 'account';
  const [front, middle] = isOfAccount ? [`"account":${p.owner},`, ''] : ['', `"organization":${p.owner},`];
  const zone = p.zone === undefined ? '' : `,"zone":${p.zone}`;
  return `{"id":${p.id},${front}"action":${p.action},"actor":${p.actor},${middle}"raw":${p.raw},"resource":${resourceText(p)}${zone}}`;
}

/** Makes the entry so long that its text has this many bytes (UTF-8); what is longer already stays as it is. */
export function padParts(parts: EntryParts, bytes: number): void {
  const padding = (length: number): string => `{"padding":"${'0'.repeat(length)}"}`;
  const leastBytes = Buffer.byteLength(joinParts({ ...parts, request: padding(0) }));
  if (bytes > leastBytes) parts.request = padding(bytes - leastBytes);
}
