import { ipVersion } from '../../formats/ip-address.ts';

/** Which columns a search for an actor looks at; `any`: all that name a person or a token. `ip` takes a network (CIDR), too. */
type ActorKind = 'email' | 'ip' | 'id' | 'token' | 'any';

export interface Actor {
  readonly kind: ActorKind;
  /** With `*` at its end: all that begin with what comes before it. */
  readonly value: string;
}

const named = /^(email|ip|id|token):([\s\S]+)$/;
/** The beginning of an address, which a word is not. */
const addressStart = /^(?:\d{1,3}\.[\d.]*|[0-9a-f]{1,4}:[0-9a-f:]*)$/i;

/** One box for all that names an actor. `email:`, `ip:`, `id:` and `token:` say which it is; else it is recognised. */
export const readActor = (text: string): Actor => {
  const match = named.exec(text);
  if (match !== null) return { kind: match[1] as ActorKind, value: match[2] as string };
  if (text.includes('@')) return { kind: 'email', value: text };
  const start = actorPrefixOf(text);
  const isIp = start === undefined ? isAddress(text) : addressStart.test(start);
  return { kind: isIp ? 'ip' : 'any', value: text };
};

/** Without the prefix if it would be recognised anyway. */
export const printActor = ({ kind, value }: Actor): string => {
  const read = readActor(value);
  return read.kind === kind && read.value === value ? value : kind === 'any' ? value : `${kind}:${value}`;
};

/** What a value with `*` at its end begins with; undefined for one that is meant as it is. */
export const actorPrefixOf = (value: string): string | undefined =>
  value.length > 1 && value.endsWith('*') ? value.slice(0, -1) : undefined;

/** True for an address, and for a network such as 198.51.100.0/24, that PostgreSQL reads as `inet`. */
export const isAddress = (value: string): boolean => {
  const [address = '', bits, ...more] = value.split('/');
  const version = ipVersion(address);
  if (version === undefined || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
};

/** A network that holds every address whose text begins so: of its whole parts. Undefined if it has none. */
export const coarseNetworkOf = (start: string): string | undefined => {
  const parts = start.split(start.includes(':') ? ':' : '.').slice(0, -1);
  if (parts.length === 0 || parts.some((part) => part === '')) return undefined;
  const network = start.includes(':')
    ? `${parts.join(':')}::/${16 * parts.length}`
    : `${[...parts, '0', '0', '0'].slice(0, 4).join('.')}/${8 * parts.length}`;
  const isWhole = start.includes(':') ? parts.length < 8 : parts.length < 4;
  return isWhole && isAddress(network) ? network : undefined;
};
