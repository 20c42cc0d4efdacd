import { isIP } from 'node:net';

type Value = string | number | Date | { readonly [name: string]: Value };

/** A file in the form of MaxMind DB, version 2.0, with records of 32 bits. Later networks may not be within earlier ones. */
export const mmdb = (type: string, networks: Readonly<Record<string, Value>>, builtAt = new Date(0)): Buffer => {
  const nodes: [number | null, number | null][] = [[null, null]];
  const data: Buffer[] = [];
  let dataBytes = 0;
  const leaves: { readonly node: number; readonly bit: number; readonly offset: number }[] = [];
  for (const [network, value] of Object.entries(networks)) {
    const bits = bitsOf(network);
    let at = 0;
    for (const bit of bits.slice(0, -1)) {
      const node = nodes[at] as [number | null, number | null];
      node[bit] ??= nodes.push([null, null]) - 1;
      at = node[bit] ?? 0;
    }
    leaves.push({ node: at, bit: bits.at(-1) ?? 0, offset: dataBytes });
    const encoded = encode(value);
    data.push(encoded);
    dataBytes += encoded.length;
  }
  const tree = Buffer.alloc(8 * nodes.length);
  nodes.forEach((node, n) => {
    for (const bit of [0, 1] as const) tree.writeUInt32BE(node[bit] ?? nodes.length, 8 * n + 4 * bit);
  });
  for (const { node, bit, offset } of leaves) tree.writeUInt32BE(nodes.length + 16 + offset, 8 * node + 4 * bit);
  const metadata = encode({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: builtAt,
    database_type: type,
    ip_version: 6,
    node_count: nodes.length,
    record_size: 32,
  });
  const mark = Buffer.from('\u00ab\u00cd\u00efMaxMind.com', 'latin1');
  return Buffer.concat([tree, Buffer.alloc(16), ...data, mark, metadata]);
};

/** Those of an IPv4 network are behind 96 zeros. */
const bitsOf = (network: string): (0 | 1)[] => {
  const [address = '', length] = network.split('/');
  const isV4 = isIP(address) === 4;
  const bytes = isV4 ? [...Array(12).fill(0), ...address.split('.').map(Number)] : bytesOfV6(address);
  const bits = bytes.flatMap((byte: number) =>
    [...byte.toString(2).padStart(8, '0')].map((bit) => Number(bit) as 0 | 1),
  );
  return bits.slice(0, Number(length) + (isV4 ? 96 : 0));
};

const bytesOfV6 = (address: string): number[] => {
  const [head = '', tail = ''] = address.split('::').map((part) => part.split(':').filter(Boolean));
  const groups = [...head, ...Array(8 - head.length - tail.length).fill('0'), ...tail].map((group) =>
    Number(`0x${group}`),
  );
  return groups.flatMap((group) => [group >> 8, group & 255]);
};

const encode = (value: Value): Buffer => {
  if (typeof value === 'string') {
    const bytes = Buffer.from(value);
    return Buffer.concat([control(2, bytes.length), bytes]);
  }
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return Buffer.concat([control(6, 4), bytes]);
  }
  if (value instanceof Date) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(value.getTime() / 1_000));
    return Buffer.concat([Buffer.from([8, 2]), bytes]);
  }
  const pairs = Object.entries(value);
  return Buffer.concat([control(7, pairs.length), ...pairs.flatMap(([name, inner]) => [encode(name), encode(inner)])]);
};

const control = (type: number, size: number): Buffer =>
  size < 29 ? Buffer.from([(type << 5) | size]) : Buffer.from([(type << 5) | 29, size - 29]);
