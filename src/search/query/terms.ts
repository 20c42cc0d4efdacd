import { ipVersion } from '../../base/addresses.ts';
import { didYouMean, nearest } from '../../base/text.ts';

/** What a term of a query line can be about. A contract: people keep links. */
export const termFields = [
  'organization',
  'account',
  'zone',
  'actor',
  'email',
  'ip',
  'token',
  'actor_id',
  'actor_type',
  'context',
  'action',
  'result',
  'product',
  'resource_type',
  'resource',
  'ray',
  'status',
  'method',
  'uri',
  'agent',
  'id',
  'text',
  'effect',
  'detection',
  'country',
  'network',
] as const;
export type TermField = (typeof termFields)[number];

export interface Term {
  readonly field: TermField;
  readonly isNegated: boolean;
  /** At least one. `*` at the end: all that begin so; for `uri` and `agent` in front as well. */
  readonly values: readonly string[];
}

/** Beside terms; each once, with one value. */
export const settingFields = ['since', 'before', 'defects', 'changed', 'archive', 'copies'] as const;
type SettingField = (typeof settingFields)[number];

export interface TermsReading {
  readonly terms: readonly Term[];
  readonly settings: Readonly<Partial<Record<SettingField, string>>>;
  /** Predicates to the line. */
  readonly faults: readonly string[];
}

const MAX_TERMS = 50;
const MAX_VALUES = 100;
/** A bare word, or a field with its values; anything else is a fault. */
const token = /(-?)(?:([A-Za-z_]+):)?((?:"(?:[^"\\]|\\.)*"|[^\s,"])+(?:,(?:"(?:[^"\\]|\\.)*"|[^\s,"])+)*)(?=\s|$)|\S+/y;
const value = /(?:"(?:[^"\\]|\\.)*"|[^\s,"])+/g;

/** `actor:mira* -action:view,login status:4xx "some text"`: all terms must hold, and one value of each. A bare word is text. Never throws. */
export const readTerms = (line: string): TermsReading => {
  const terms: Term[] = [];
  const faults: string[] = [];
  const settings: Partial<Record<SettingField, string>> = {};
  token.lastIndex = 0;
  for (let at = 0; at < line.length; at = token.lastIndex) {
    const blank = /\s+/y;
    blank.lastIndex = at;
    if (blank.test(line)) {
      token.lastIndex = blank.lastIndex;
      continue;
    }
    token.lastIndex = at;
    const match = token.exec(line);
    if (match === null) break;
    const setting = settingFields.find((one) => one === match[2]?.toLowerCase());
    if (setting !== undefined) {
      if (match[1] === '-' || settings[setting] !== undefined)
        faults.push(`has ${quoted(match[0])}: ${setting}: is given once and cannot be excluded`);
      else settings[setting] = unquoted(match[3] ?? '');
      continue;
    }
    const read = readTerm(match);
    if (typeof read === 'string') faults.push(read);
    else terms.push(read);
  }
  if (terms.length > MAX_TERMS) faults.push(`has more than ${MAX_TERMS} terms`);
  return { terms, settings, faults };
};

const readTerm = ([all, minus, name, list]: RegExpExecArray): Term | string => {
  if (list === undefined) return `has ${quoted(all)}, which is no term: write field:value, or "text in quotes"`;
  if (name === undefined && /^[A-Za-z_]+:(?:$|,)/.test(list)) return `has ${quoted(all)} without a value`;
  if (name === undefined && minus === '-' && list.startsWith('-'))
    return `has ${quoted(all)}, which is excluded twice: put quotes around text that begins with a minus`;
  const meant = name === undefined ? fieldMeantBy(list) : [];
  if (meant.length > 0)
    return `has ${quoted(all)}, whose field is unknown${didYouMean(meant)}; put quotes around text that has a colon`;
  const field = name === undefined ? 'text' : termFields.find((one) => one === name.toLowerCase());
  if (field === undefined) {
    const near = nearest(name ?? '', [...termFields, ...settingFields], 2).map((one) => `${one}:`);
    return `has the unknown field ${quoted(`${name}:`)}${didYouMean(near)}${near.length > 0 ? '' : `; the fields are ${termFields.join(', ')}; put quotes around text that has a colon`}`;
  }
  const values = name === undefined ? [unquoted(list)] : [...list.matchAll(value)].map(([one]) => unquoted(one));
  if (values.length > MAX_VALUES) return `has more than ${MAX_VALUES} values for ${field}:`;
  if (values.some((one) => one === '' || one === '*')) return `has an empty value for ${field}:`;
  const wrong = field === 'status' ? values.find((one) => statusRange(one) === undefined) : undefined;
  if (wrong !== undefined) return `has status:${wrong}, which must be such as 403, 4xx, 400-499 or >=500`;
  const noCountry = field === 'country' ? values.find((one) => !/^[A-Za-z]{2}$/.test(one)) : undefined;
  if (noCountry !== undefined)
    return `has ${quoted(`country:${noCountry}`)}, which must be two letters, such as country:DE`;
  return { field, isNegated: minus === '-', values };
};

/** The fields that may be meant by a word that looks like a field of another program, such as `resource-type:zone` or `actor.email:mira`. */
const fieldMeantBy = (word: string): readonly string[] => {
  const [, name = ''] = /^([A-Za-z_]+(?:[.-][A-Za-z_]+)+):/.exec(word) ?? [];
  const whole = nearest(name.replace(/[.-]/g, '_'), termFields, 1);
  const near = whole.length > 0 ? whole : nearest(name.slice(name.search(/[^.-]+$/)), termFields, 1);
  return near.map((one) => `${one}:`);
};

const quoted = (text: string): string => JSON.stringify(text.slice(0, 100).toWellFormed());

/** `a"b c"` is `ab c`. A backslash in front of a quote or a backslash is taken away. */
const unquoted = (text: string): string =>
  text.replace(/"((?:[^"\\]|\\.)*)"/g, (_, inner: string) => inner.replace(/\\(["\\])/g, '$1'));

export const printTerms = (terms: readonly Term[]): string => terms.map(printTerm).join(' ');

export const printTerm = ({ field, isNegated, values }: Term): string => {
  const sign = isNegated ? '-' : '';
  const [first = ''] = values;
  if (field === 'text' && values.length === 1) return `${sign}${printValue(first, true)}`;
  return `${sign}${field}:${values.map((one) => printValue(one, false)).join(',')}`;
};

/** A word without a field must not look like one, nor like an exclusion. */
const printValue = (text: string, isBare: boolean): string =>
  /[\s,"]/.test(text) || text === '' || (isBare && (/^[A-Za-z_.-]+:/.test(text) || text.startsWith('-')))
    ? `"${text.replace(/["\\]/g, '\\$&')}"`
    : text;

/** Both ends included; undefined for what is no status. */
export const statusRange = (text: string): readonly [from: number, to: number] | undefined => {
  const exact = /^(\d{3})$/.exec(text);
  if (exact) return [Number(exact[1]), Number(exact[1])];
  const hundred = /^([1-9])xx$/i.exec(text);
  if (hundred) return [Number(hundred[1]) * 100, Number(hundred[1]) * 100 + 99];
  const range = /^(\d{3})-(\d{3})$/.exec(text);
  if (range && Number(range[1]) <= Number(range[2])) return [Number(range[1]), Number(range[2])];
  const beyond = /^(>=|<=|>|<)(\d{3})$/.exec(text);
  if (!beyond) return undefined;
  const number = Number(beyond[2]);
  if (beyond[1]?.startsWith('>')) return [beyond[1] === '>=' ? number : number + 1, 999];
  return [0, beyond[1] === '<=' ? number : number - 1];
};

/** The columns that are searched; `any`: all that name a person or a token. `ip` takes a network (CIDR), too. */
type ActorKind = 'email' | 'ip' | 'id' | 'token' | 'any';

export interface Actor {
  readonly kind: ActorKind;
  /** `*` at an end: any text. */
  readonly value: string;
}

const named = /^(email|ip|id|token):([\s\S]+)$/;
const addressStart = /^(?:\d{1,3}\.[\d.]*|[0-9a-f]{1,4}:[0-9a-f:]*)$/i;

/** `email:`, `ip:`, `id:` and `token:` say what it is; else it is recognised. */
export const readActor = (text: string): Actor => {
  const match = named.exec(text);
  if (match !== null) return { kind: match[1] as ActorKind, value: match[2] as string };
  if (text.includes('@')) return { kind: 'email', value: text };
  const start = prefixOf(text);
  const isIp = start === undefined ? isAddress(text) : addressStart.test(start);
  return { kind: isIp ? 'ip' : 'any', value: text };
};

/** Without the prefix if it would be recognised without. */
export const printActor = ({ kind, value }: Actor): string => {
  const read = readActor(value);
  return read.kind === kind && read.value === value ? value : kind === 'any' ? value : `${kind}:${value}`;
};

/** A `*` at the beginning stands for any text. No index helps. */
export const isOpenAtFront = (value: string): boolean => value.length > 1 && value.startsWith('*');

/** Without the `*` at its end; undefined for a value that is no beginning. */
export const prefixOf = (value: string): string | undefined =>
  value.length > 1 && value.endsWith('*') && !isOpenAtFront(value) ? value.slice(0, -1) : undefined;

/** Of what PostgreSQL reads as `inet`: an address, or a network such as 198.51.100.0/24. */
export const isAddress = (value: string): boolean => {
  const [address = '', bits, ...more] = value.split('/');
  const version = ipVersion(address);
  if (version === undefined || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
};

/** Has every address whose text begins so, by its whole parts. Undefined if it has no whole part. */
export const coarseNetworkOf = (start: string): string | undefined => {
  const parts = start.split(start.includes(':') ? ':' : '.').slice(0, -1);
  if (parts.length === 0 || parts.some((part) => part === '')) return undefined;
  const network = start.includes(':')
    ? `${parts.join(':')}::/${16 * parts.length}`
    : `${[...parts, '0', '0', '0'].slice(0, 4).join('.')}/${8 * parts.length}`;
  const isWhole = start.includes(':') ? parts.length < 8 : parts.length < 4;
  return isWhole && isAddress(network) ? network : undefined;
};
