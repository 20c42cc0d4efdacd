import { type EntryParts, entryParts, joinParts, resourceText, type Voice } from './entry-text.ts';

/** Undocumented forms of an element of `result`, handed out in turn. */
export const defectNames = [
  'no_id',
  'empty_id',
  'numeric_id',
  'no_action',
  'no_time',
  'invalid_time',
  'numeric_time',
  'nul',
  'nul_in_id',
  'lone_surrogate',
  'string_entry',
  'number_entry',
  'null_entry',
  'array_entry',
  'huge_integer',
  'huge_number',
  'duplicate_keys',
  'odd_text',
  'deep_nesting',
  'long_id',
  'large_entry',
  'string_scope',
  'array_response',
] as const;

export type DefectName = (typeof defectNames)[number];
const nestingLevels = 2000;
const longIdLength = 5000;
const largeEntryLength = 1_048_576;
const invalidTimes = ['yesterday', '2024-02-30T25:61:00Z', '', '0000-00-00T00:00:00Z'];
const nul = '\\u0000';

function timeOf(parts: EntryParts, member: string): void {
  parts.action = parts.action.replace(/"time":"[^"]*",/, member);
}

function nulSomewhere(parts: EntryParts, index: number): void {
  const place = index % 5;
  if (place === 0) parts.action = parts.action.replace('"description":"', `"description":"${nul}`);
  else if (place === 1) parts.raw = parts.raw.replace('"user_agent":"', `"user_agent":"a${nul}b`);
  else if (place === 2) parts.request = `{"note":"x${nul}y"}`;
  else if (place === 3) parts.request = `{"key${nul}":1}`;
  else parts.actor = parts.actor.replace('"email":"', `"email":"${nul}`);
}

function surrogateSomewhere(parts: EntryParts, index: number): void {
  const lone = index % 2 === 0 ? '\\ud83d' : '\\uDE00';
  if (index % 3 === 0) parts.action = parts.action.replace('"description":"', `"description":"${lone}`);
  else if (index % 3 === 1) parts.request = `{"note":"x${lone}y"}`;
  else parts.resourceType = `"${lone}${parts.resourceType.slice(1)}`;
}

/** Changes that leave an object behind; the others are in `strangeElement`. */
// biome-ignore format: one defect a line
const changes: Partial<Record<DefectName, (parts: EntryParts, index: number) => void>> = {
  empty_id: (parts) => { parts.id = '""'; },
  numeric_id: (parts, index) => { parts.id = String(7_000_000 + index); },
  no_time: (parts) => timeOf(parts, ''),
  invalid_time: (parts, index) => timeOf(parts, `"time":"${invalidTimes[index % invalidTimes.length]}",`),
  numeric_time: (parts, index) => timeOf(parts, `"time":${1_700_000_000 + index},`),
  nul: nulSomewhere,
  nul_in_id: (parts) => { parts.id = `${parts.id.slice(0, 9)}${nul}${parts.id.slice(9)}`; },
  lone_surrogate: surrogateSomewhere,
  huge_integer: (parts) => { parts.request = '{"serial":12345678901234567890,"ratio":0.1000000000000000055511151231257827}'; },
  huge_number: (parts) => { parts.request = '{"size":1e200000}'; },
  duplicate_keys: (parts, index) => {
    parts.request = `{"a":1,"b":2,"a":${index}}`;
    parts.action = parts.action.replace('{', '{"description":"an earlier value",');
  },
  deep_nesting: (parts) => { parts.request = `${'['.repeat(nestingLevels)}${']'.repeat(nestingLevels)}`; },
  long_id: (parts) => { parts.id = `"${parts.id.slice(1, -1).repeat(Math.ceil(longIdLength / 32)).slice(0, longIdLength)}"`; },
  large_entry: (parts) => { parts.request = `{"body":"${'0123456789abcdef'.repeat(largeEntryLength / 16)}"}`; },
  string_scope: (parts) => { parts.scope = '"memberships"'; },
  array_response: (parts, index) => { parts.response = `["ok",{"row":${index}},null]`; },
};

/** Not an object, without a member, or oddly written. */
function strangeElement(defect: DefectName, p: EntryParts, index: number, sourceId: string): string {
  switch (defect) {
    case 'no_id':
      return joinParts(p).replace(`"id":${p.id},`, '');
    case 'no_action':
      return joinParts(p).replace(`"action":${p.action},`, '');
    case 'string_entry':
      return `"entry ${index} of ${sourceId}"`;
    case 'number_entry':
      return `${9_000_000_000 + index}.${sourceId.replace(/\D/g, '')}1`;
    case 'null_entry':
      return 'null';
    case 'array_entry':
      return `[${index},${p.id},${p.owner}]`;
    default:
      return oddText(p);
  }
}

// Legal JSON that parse and stringify would not give back.
function oddText(p: EntryParts): string {
  const id = p.id.replace(/[a-f]/, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`);
  const action = p.action.replaceAll('/', '\\/').replace('"type":', '"t\\u0079pe" :\t');
  const zone = p.zone === undefined ? '' : `,"zone":${p.zone}`;
  const greeting = '"na\\u00efve caf\u00e9 \ud83d\ude00 \\ud83d\\ude00 \\"\\/\\b\\f"';
  return `{ "resource" : ${resourceText(p)},\r\n  "raw":${p.raw} ,"1":1.0,"note":${greeting},"n":-0E+2, "actor" :${p.actor},\n"${p.ownerName}":${p.owner}${zone},"action":${action},\t"id": ${id} }`;
}

/** The same for the same arguments. Unique, except `null_entry`. */
export function defectiveText(voice: Voice, index: number, timeMs: number, marks: number, defect: DefectName): string {
  const parts = entryParts(voice, index, timeMs, marks);
  const change = changes[defect];
  if (change === undefined) return strangeElement(defect, parts, index, voice.source.id);
  change(parts, index);
  return joinParts(parts);
}

export interface EntryFacts {
  /** Null if a text column could not hold it: missing, empty, no string, NUL or lone surrogate. */
  readonly id: string | null;
  /** As written; null if missing or no date. */
  readonly actionTime: string | null;
}

/** Never throws on valid JSON. */
export function readFacts(text: string): EntryFacts {
  const entry: unknown = JSON.parse(text);
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return { id: null, actionTime: null };
  const { id, action } = entry as { id?: unknown; action?: unknown };
  const time = typeof action === 'object' && action !== null ? (action as { time?: unknown }).time : undefined;
  const hasId = typeof id === 'string' && id !== '' && !id.includes('\u0000') && id.isWellFormed();
  return {
    id: hasId ? id : null,
    actionTime: typeof time === 'string' && !Number.isNaN(Date.parse(time)) ? time : null,
  };
}
