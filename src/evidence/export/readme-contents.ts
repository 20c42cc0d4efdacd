/** What files of a bundle are, by where their names begin; in this order in README.txt. */
const kinds: readonly (readonly [prefix: string, shown: string, text: string])[] = [
  ['README.txt', 'README.txt', 'this text. Nothing signs it'],
  ['policy.txt', 'policy.txt', 'the keys of the two logs, and of witnesses (c2sp.org/tlog-policy)'],
  ['verify.py', 'verify.py', 'a verifier'],
  [
    'events/checkpoint',
    'events/checkpoint',
    'name, size and root of the log of events, signed (c2sp.org/tlog-checkpoint, signed-note)',
  ],
  ['events/tile/', 'events/tile/...', 'its hashes, 256 in a file (c2sp.org/tlog-tiles)'],
  ['events/leaves', 'events/leaves', 'the leaves of the source: see above'],
  ['events/time', 'events/time', 'which time the bundle is of: see above'],
  ['events/payload/', 'events/payload/...', 'the events, 65,536 positions in a file'],
  ['events/withheld/', 'events/withheld/...', 'the leaves of events whose content is not here: see above'],
  [
    'events/sources/',
    'events/sources/...',
    'the number of the source of each position (2 bytes, 0 for a hole), cut like the tiles of level 0',
  ],
  ['journal/checkpoint', 'journal/checkpoint', 'name, size and root of the log of statements, signed in the same way'],
  ['journal/tile/', 'journal/tile/...', 'its hashes'],
  ['journal/leaves', 'journal/leaves', 'the leaves of the statements that are here: see above'],
  [
    'journal/entries.ndjson',
    'journal/entries.ndjson',
    'the statements, one object of JSON a line: whose log it is (genesis), sources, months dropped by retention, legal holds, changed contents, what was read completely (coverage)',
  ],
  [
    'journal/reads.ndjson',
    'journal/reads.ndjson',
    'the requests behind the statements of coverage: a line for each walk over a log that came to its end',
  ],
  [
    'changes.ndjson',
    'changes.ndjson',
    'later contents of events that Cloudflare served again with other content; empty if there are none',
  ],
  [
    'anchors/',
    'anchors/...',
    'the newest checkpoints that the operator gave to each anchor, numbered as above, as his database remembers them. They are of this bundle: to compare with one, fetch it from the anchor (3. above)',
  ],
  [
    'timestamps/',
    'timestamps/...',
    'checkpoints of the journal, and beside each the answer of a time-stamping authority (RFC 3161, .tsr). With its certificate: python3 verify.py --tsa-ca CERTIFICATE.pem',
  ],
];

/** What the files of a bundle are, of those that are there. */
export const describeFiles = (paths: readonly string[], isPacked: boolean): string => {
  const all = ['README.txt', ...paths];
  const isThere = (prefix: string) =>
    all.some((path) => (prefix.endsWith('/') ? path.startsWith(prefix) : path === prefix));
  return kinds
    .filter(([prefix]) => isThere(prefix))
    .map(([prefix, shown, text]) => {
      const packed = isPacked && packable.includes(prefix) ? ', packed by gzip' : '';
      return `${shown.padEnd(INDENT)}${wrapped(`${text}${packed}`)}\n`;
    })
    .join('');
};

const packable: readonly string[] = ['events/payload/', 'events/withheld/'];
const INDENT = 24;
const WIDTH = 118 - INDENT;

/** Continued lines stand below the first one. */
const wrapped = (text: string): string => {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines.join(`\n${' '.repeat(INDENT)}`);
};
