import { ipVersion } from '../../base/addresses.ts';

/** What an index of texts must be asked for, so that none of a network is left out; others may be among what it finds. */
export interface AddressTexts {
  readonly starts: readonly string[];
  readonly exact: readonly string[];
}

/** Each is a step through an index of each month. */
const MAX_STARTS = 16;
const GROUP_BITS = 16;
const NIBBLE_BITS = 4;

/**
 * The texts of the addresses in a network, or of one address (`isAddress`), in all spellings that PostgreSQL reads as `inet`. Undefined if they
 * have no beginning in common: networks shorter than /4, and of IPv6 those shorter than /16 that begin with zeros.
 */
export const textsOfNetwork = (network: string): AddressTexts | undefined => {
  const [address = '', length] = network.split('/');
  if (ipVersion(address) === 4) return ipv4Texts(address.split('.').map(Number), Number(length ?? 32));
  const starts = ipv6Starts(groupsOf(address), Number(length ?? 128));
  return starts.includes('') ? undefined : { starts, exact: [] };
};

/** An octet is spelled in one way. The values of one that is known in part are listed if they are few. */
const ipv4Texts = (octets: readonly number[], bits: number): AddressTexts | undefined => {
  const whole = Math.floor(bits / 8);
  if (whole === 4) return { starts: [], exact: [octets.join('.')] };
  const before = octets
    .slice(0, whole)
    .map((octet) => `${octet}.`)
    .join('');
  const count = 2 ** (8 - (bits % 8));
  if (count > MAX_STARTS) return before === '' ? undefined : { starts: [before], exact: [] };
  const first = (octets[whole] ?? 0) & (256 - count);
  const texts = Array.from({ length: count }, (_, n) => `${before}${first + n}`);
  return whole === 3 ? { starts: [], exact: texts } : { starts: texts.map((text) => `${text}.`), exact: [] };
};

/** Group by group, while the spellings are few. The places of groups after `::` are unknown. */
const ipv6Starts = (groups: readonly number[], bits: number): readonly string[] => {
  let closed: readonly string[] = [];
  let open: readonly string[] = [''];
  for (const [index, group] of groups.entries()) {
    const known = bits - index * GROUP_BITS;
    if (known <= 0) break;
    const last = index === groups.length - 1;
    const spellings = known < GROUP_BITS ? beginningsOf(group, known) : spellingsOf(group);
    if (spellings.length === 0) break;
    const goesOn = known >= GROUP_BITS && !last;
    const next = open.flatMap((start) => spellings.map((spelling) => `${start}${spelling}${goesOn ? ':' : ''}`));
    const zeros = known >= GROUP_BITS && group === 0 ? open.map((start) => (start === '' ? '::' : `${start}:`)) : [];
    if (closed.length + zeros.length + next.length > MAX_STARTS) break;
    closed = [...closed, ...zeros];
    open = next;
  }
  return [...closed, ...open];
};

/** With leading zeros and without, each letter in both cases. */
const spellingsOf = (group: number): readonly string[] => {
  const shortest = group.toString(16);
  const padded = Array.from({ length: 5 - shortest.length }, (_, zeros) => '0'.repeat(zeros) + shortest);
  return padded.flatMap(inBothCases);
};

/** None if the group may begin with zeros, which are not always written. */
const beginningsOf = (group: number, knownBits: number): readonly string[] => {
  const digits = group
    .toString(16)
    .padStart(4, '0')
    .slice(0, Math.floor(knownBits / NIBBLE_BITS));
  return digits === '' || digits.startsWith('0') ? [] : inBothCases(digits);
};

/** Beginnings in both cases of letters. Of a text that no address begins with, only the part that can be one; none if there is no such part. */
export const startsInBothCases = (start: string): readonly string[] => {
  const [possible = ''] = /^[0-9a-f.:]*/i.exec(start) ?? [];
  // Four letters in both cases are as many as are asked for at once.
  const [few = ''] = /^(?:[0-9.:]*[a-f]){0,4}[0-9.:]*/i.exec(possible) ?? [];
  return few === '' ? [] : inBothCases(few);
};

const inBothCases = (text: string): readonly string[] =>
  [...text].reduce<readonly string[]>(
    (starts, letter) => {
      const cases = [...new Set([letter.toLowerCase(), letter.toUpperCase()])];
      return starts.flatMap((start) => cases.map((one) => start + one));
    },
    [''],
  );

const groupsOf = (address: string): readonly number[] => {
  const [head = '', tail] = address.split('::');
  const before = groupsIn(head);
  if (tail === undefined) return before;
  const behind = groupsIn(tail);
  return [...before, ...Array.from({ length: 8 - before.length - behind.length }, () => 0), ...behind];
};

const groupsIn = (part: string): readonly number[] =>
  part.split(':').flatMap((text) => {
    if (text === '') return [];
    if (!text.includes('.')) return [Number.parseInt(text, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
