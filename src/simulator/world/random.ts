/**
 * Arithmetic in place of a random generator with state: what is drawn depends on a key and a counter only, so the
 * n-th entry of an organization can be made on its own, again and again, and always comes out the same.
 */

/** A bijection of the 32-bit numbers: different inputs never collide. Returns an unsigned integer. */
export function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The `counter`-th draw of the stream `key`: 32 bits, unsigned. A bijection in `counter`. */
export function draw(key: number, counter: number): number {
  return mix(mix(counter ^ key) + 0x9e3779b9);
}

/** True with the given probability (0 to 1), as decided by 32 drawn bits. */
export function isChosen(bits: number, probability: number): boolean {
  return bits < probability * 4294967296;
}

/** FNV-1a, 32 bits: turns a name into a key. */
export function keyOf(text: string, seed = 0): number {
  let h = (0x811c9dc5 ^ mix(seed)) >>> 0;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix(h);
}

const quads = Array.from({ length: 65536 }, (_, n) => n.toString(16).padStart(4, '0'));

/** Eight lower-case hexadecimal digits. */
export function hex8(bits: number): string {
  return `${quads[bits >>> 16]}${quads[bits & 0xffff]}`;
}
