import { draw, hex8, mix } from './random.ts';
import { firstNames, lastNames } from './vocabulary.ts';

/** An address from the ranges for documentation, of either version. */
export function ipText(bits: number): string {
  return (bits & 7) === 0
    ? `2001:db8:${(bits >>> 16).toString(16)}:${(bits & 0xffff).toString(16)}::1`
    : `${bits & 8 ? '203.0.113' : '198.51.100'}.${(bits >>> 8) & 255}`;
}

/** JSON text of the `n`-th actor that the key draws: a person, with or without a token. `isStrange`: with values that no document has. */
function personText(key: number, n: number, isStrange: boolean): string {
  // A person keeps id and address over several contexts: four actors in a row are the same one.
  const person = draw(key, 1000 + (n >>> 2));
  const bits = draw(key, 2000 + n);
  const id = `${hex8(person)}${hex8(mix(person))}${hex8(person ^ key)}${hex8(mix(person + 1))}`;
  const email = `${firstNames[person & 15]}.${lastNames[(person >>> 4) & 15]}${person % 90}@example.com`.toLowerCase();
  const ip = ipText(bits);
  if (isStrange) {
    const context = n % 2 === 0 ? 'api' : 'dash';
    const type = n % 2 === 0 ? 'user' : 'delegated_service';
    return `{"id":"${id}","context":"${context}","email":"${email}","ip_address":"${ip}","type":"${type}"}`;
  }
  const hasToken = bits % 3 === 0;
  const context = hasToken ? (bits % 2 === 0 ? 'api_token' : 'oauth') : bits % 5 === 0 ? 'api_key' : 'dash';
  const type = bits % 31 === 0 ? 'cloudflare_admin' : 'user';
  const token = hasToken ? `,"token_id":"${hex8(bits)}${hex8(person)}","token_name":"terraform-${bits % 17}"` : '';
  return `{"id":"${id}","context":"${context}","email":"${email}","ip_address":"${ip}"${token},"type":"${type}"}`;
}

/** The persons of one log, as they usually act. */
export function people(key: number, count: number): string[] {
  return Array.from({ length: count }, (_, n) => personText(key, n, false));
}

/** Some of the same persons, with values that no document has. */
export function strangePeople(key: number): string[] {
  return Array.from({ length: 8 }, (_, n) => personText(key, n, true));
}
