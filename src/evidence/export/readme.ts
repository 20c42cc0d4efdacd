import { anchoredPath } from '../anchors/mirror.ts';
import { type KeyHistory, keysInForce, stolenKeys } from '../append/keys-in-force.ts';
import { bundleTimeText, writeManifestLines } from '../bundle/layout.ts';
import type { ExportedAnchor } from './copy-logs.sql.ts';
import type { ExportedTime } from './copy-payload.sql.ts';
import type { ExportedLogs } from './snapshot.sql.ts';

interface ReadmeFacts {
  readonly logs: ExportedLogs;
  readonly version: string;
  readonly vkeys: readonly string[];
  readonly keys: KeyHistory;
  readonly events: number;
  readonly isPacked: boolean;
  /** Undefined: of all times. */
  readonly time?: ExportedTime | undefined;
  readonly withheld: number;
  /** Undefined: of all sources. */
  readonly source?: { readonly kind: string; readonly id: string } | undefined;
  readonly part?: { readonly leaves: number; readonly completeTo: number } | undefined;
  /** Of the verification; none if the bundle holds. */
  readonly faults: readonly string[];
  readonly hashes: ReadonlyMap<string, string>;
  readonly anchored: readonly ExportedAnchor[];
}

/** For an auditor who has never seen orgtrail. */
export const writeReadme = (facts: ReadmeFacts): string =>
  [
    head(facts),
    ofOneSource(facts),
    ofTime(facts),
    findings(facts),
    ofKeys(facts),
    howToVerify(facts),
    contents(facts),
    method,
    list(facts),
  ]
    .filter((part) => part !== '')
    .join('\n');

const head = ({ logs, events, version, anchored }: ReadmeFacts): string => `EVIDENCE OF CLOUDFLARE AUDIT LOGS

This folder is a bundle of evidence. It was written by orgtrail, a program that copies the audit logs of
Cloudflare into a database as soon as Cloudflare serves them, and keeps a signed Merkle log of what it
stored (the technique of certificate transparency, RFC 6962).

What it shows:      this is what orgtrail stored, in this order, unchanged since the log was signed, as far as
                    you believe the signer; and without believing him, since a checkpoint that was kept elsewhere.
What it does not:   that orgtrail was given all that Cloudflare had, and stored it: that is the operator's word, and no key
                    and no checkpoint changes it. To test it, ask Cloudflare for the audit log of some days with a
                    credential of your own, and compare the ids.
                    Nor that Cloudflare told the truth, that the clock of the host was right, or who did something.
                    The verifiers list what they do not claim.

Written at          ${logs.at}, by orgtrail ${version}, from PostgreSQL ${logs.serverVersion}
Log of events       ${logs.events.origin}
                    ${logs.events.size} positions, ${events} events with their content; signed at ${logs.events.madeAt}
Log of statements   ${logs.journal.origin}
                    ${logs.journal.size} statements; signed at ${logs.journal.madeAt}
State of the log    ${stateOf(logs)}
Anchors             ${anchorsOf(anchored, logs.generation)}

Nothing signs this text: what stands above is what the operator's program wrote. The verifiers print what they found.
`;

const anchorsOf = (anchors: readonly ExportedAnchor[], generation: number): string => {
  if (anchors.length === 0) return 'none: this bundle is unanchored. See "3." below.';
  const lines = anchors.flatMap(({ anchor, size, at }, index) => [
    `${index + 1}. ${anchor}: ${size === null ? 'the journal' : `${size} events`}, ${at}`,
    `   ${howToFetch(anchor, size, generation)}`,
  ]);
  return [...lines, 'This is what the operator says: "3." below is how to compare.'].join(`\n${' '.repeat(20)}`);
};

/** The operator's name of an anchor may mean nothing to others. */
const howToFetch = (anchor: string, size: number | null, generation: number): string => {
  const path = size === null ? 'journal/checkpoints' : anchoredPath('events', generation, size);
  if (anchor.startsWith('file:'))
    return `a folder on a machine of the operator: you cannot fetch from it. Have those who administer it give you ${path}`;
  if (anchor.startsWith('s3:')) return `an object store: ask those who administer it for ${path} below that prefix`;
  if (anchor.startsWith('witness:')) return 'a witness, which signs what it has seen: ask its operator for its key';
  if (anchor.startsWith('tsa:')) return 'an authority that signs the time: timestamps/, with its certificate';
  if (anchor.startsWith('sink:'))
    return 'a receiver of events: ask those who administer it for the records "orgtrail_checkpoint", field "note"';
  return 'ask those who administer it for the checkpoint that it has';
};

/** Names are Cloudflare's: none must begin a line of the list of files. */
const ofOneSource = ({ source, part }: ReadmeFacts): string =>
  source === undefined || part === undefined
    ? ''
    : `A BUNDLE OF ONE SOURCE: ${source.kind} ${JSON.stringify(source.id)}

It has the events of the audit log of this ${source.kind}, and of all others nothing but salted hashes. Of statements about
other sources it has hashes without a salt: one that is guessed to the byte, ids and times included, can be confirmed.
It shows that these are all events that orgtrail stored of it up to position ${part.completeTo}: a signed statement ("coverage") has
their number and a chain of their hashes. Of later positions it shows that what is here was stored, not that
nothing is missing. ${part.leaves} positions are of this source; those that retention has dropped have no content any more.
To compare it with a checkpoint that was kept elsewhere (3. below), hashes of that size may be missing: the
verifiers say so, and a bundle of everything can be compared with all.

events/leaves           the position less one (8 bytes) and the hash (32 bytes) of each leaf of the source
journal/leaves          the same for each line of journal/entries.ndjson: statements about other sources are left out
events/tile/...         only the hashes that lead from these leaves to the signed root. The root of a full tile is
                        a hash of the tile above it; the tiles that are not full give the root
There is no events/sources. All else is as described below.
`;

const ofTime = ({ time, withheld }: ReadmeFacts): string =>
  time === undefined
    ? ''
    : `A BUNDLE OF A TIME: ${bundleTimeText(time)}

It has the content of the events that happened in that time (by the time that Cloudflare gives them, in UTC, the end not
included), and of those that have no time, since they may have. ${
        time.isHashesOnly
          ? `Of all other events it has nothing but salted hashes.
So it does not show that these are all events of that time: any of the others may be of it. Of each event that is here it
shows that it was stored so, and when the log of events had which size.`
          : `Of ${withheld} other events it has the leaf (HOW IT IS
MADE, below), which shows when they happened, their source and ids, and the SHA-256 of their content, not the content itself.
So it shows that no event of that time is left out, but for those that retention has dropped: statements "drop" name their months.`
      }

events/time             which time
${
  time.isHashesOnly
    ? ''
    : `events/withheld/...     for each leaf without content its length (2 bytes) and its data; cut like events/payload
`
}Without events/time, this folder does not verify: events would be missing.
`;
/** Nothing, if there was always one key. */
const ofKeys = ({ keys, logs: { at } }: ReadmeFacts): string => {
  const { changes } = keys;
  if (changes.length === 0) return '';
  const { until } = keysInForce(keys, at);
  const lines = changes.flatMap(({ reason, first_size, new_vkeys }) => [
    `From ${first_size} events on (${reason}):`,
    ...new_vkeys.map((vkey) => `       ${vkey}`),
  ]);
  const overlap =
    until === undefined
      ? []
      : [`Until ${until} the key before signs beside the new one, for those who do not have the new one yet.`];
  return `THE KEY OF THE LOG HAS CHANGED

Signed statements ("key") say so. From the size below on, a checkpoint must have a signature by the new key. A checkpoint that
you kept by an older key is still compared.
${[...lines, ...overlap, ...ofTheft(stolenKeys(keys))].join('\n')}
`;
};

const ofTheft = (stolen: readonly string[]): string[] =>
  stolen.length === 0
    ? []
    : [
        'A key was stolen ("compromised"). Who has it can sign any history with it. So a checkpoint that only that key signed',
        'counts as far as it was kept elsewhere, cosigned or time-stamped before the theft. The stolen keys:',
        ...stolen.map((vkey) => `       ${vkey}`),
      ];

const stateOf = ({ state, stateReason, head: position, events: { size } }: ExportedLogs): string => {
  const reason = stateReason === null ? '' : ` (${stateReason})`;
  const isStopped = ['halted', 'behind', 'forked', 'ended'].includes(state);
  const after = isStopped ? '. Nothing is signed any more; this is the last signed state' : '';
  return `${state}${reason}${after}. ${position - size} later positions are not in it.`;
};

const findings = ({ faults }: ReadmeFacts): string =>
  faults.length === 0
    ? ''
    : `THE EVIDENCE DOES NOT HOLD. When this bundle was written, what is stored was not what was signed:
${faults.map((fault) => `  ${fault}\n`).join('')}The bundle was still written, because that was asked for (--despite-faults).
`;

const howToVerify = ({
  vkeys,
}: ReadmeFacts): string => `HOW TO VERIFY IT (offline; the commands take seconds, or minutes for millions of events)

Needed: Python 3.9 or later, and OpenSSL 3.0 or later. Open a terminal in this folder.

1. Verify the bundle. verify.py is one file of plain Python, written to be read, with the standard
   library only. It needs no network, and writes nothing into this folder.

       python3 verify.py

   It ends with "Result: the evidence holds." and exit code 0, or with "does not hold" and exit code 5; the lines
   above say what holds, what does not, what was not checked (the option that would is named), and what is not claimed. The first
   lines name a kept checkpoint that does not agree, the first time that was not read, if there is one, and what stays the word
   of the operator. What stands below "as far as the signer is believed" is not rewritten if you do 3. Against the operator this alone proves little: he could have signed another history,
   and have changed verify.py. That is what 2 and 3 are for. Anyone can write another
   verifier from "HOW IT IS MADE"; one, written apart from the first, is in orgtrail (npm package or container image).
   If you have it, it must come to the same result:

       orgtrail evidence verify .

   For one organization or account, with the whole id; what was read completely, and what was not:

       python3 verify.py --organization ID --since 2026-01-01T00:00:00Z --before 2026-04-01T00:00:00Z

2. Compare the keys. policy.txt names the keys that must have signed. They came with this bundle, so compare them
   with the keys that you were given on another way, when the engagement began (if you were given none, say so in your
   report: then the signatures show no more than that the bundle is of one piece):

${vkeys.map((vkey) => `       ${vkey}\n`).join('')}
   Or put those that you were given into a file like policy.txt, and name it: python3 verify.py --policy FILE

3. Compare with what was kept elsewhere. Signatures prove nothing against the operator, who has the key and could sign another
   history. Take a checkpoint that you or a third party kept (a text like events/checkpoint: three lines, an empty line, a
   signature; the file events/checkpoint of an earlier bundle is one), not one from this folder:

       python3 verify.py --anchor KEPT-CHECKPOINT KEPT-CHECKPOINT-OF-THE-JOURNAL

   Then the events up to a kept checkpoint of the events, and the statements up to one of the journal, are shown to be
   unchanged since these were kept. Give both if you have both. A checkpoint that this bundle has as well could be a copy
   from it, which proves nothing, so it does not count, unless you say that you kept or fetched it elsewhere: add
   --kept-elsewhere. Without any checkpoint the bundle is "unanchored": a result that holds means then that the bundle agrees
   with itself. Keep events/checkpoint and journal/checkpoint of this bundle for the next time.

4. Compare the files with the list at the end of this text (damage on the way; both verifiers do so as well). It prints
   nothing if all are the same:

       grep -E '^[0-9a-f]{64}  ' README.txt | sha256sum --check --quiet

5. Without any program of ours, the signature of the log of events by the first key in policy.txt (it prints "Signature
   Verified Successfully"; with journal in place of events it is that of the log of statements). It speaks of the root alone:
   that the contents lead to this root is for a program to find out, by "HOW IT IS MADE".

       T=$(mktemp -d)
       head -n 3 events/checkpoint > $T/text
       grep "^— $(head -n 1 events/checkpoint) " events/checkpoint | head -n 1 | cut -d ' ' -f 3 | base64 -d | tail -c 64 > $T/signature
       (printf '\\060\\052\\060\\005\\006\\003\\053\\145\\160\\003\\041\\000'
        grep events+ policy.txt | head -n 1 | sed 's/.*events+[0-9a-f]*+//' | base64 -d | tail -c 32) > $T/key
       openssl pkeyutl -verify -pubin -keyform DER -inkey $T/key -rawin -in $T/text -sigfile $T/signature
`;

const contents = ({ isPacked, hashes }: ReadmeFacts): string =>
  `WHAT IS IN IT\n\n${describeFiles([...hashes.keys()], isPacked)}`;

const list = ({ hashes }: ReadmeFacts): string =>
  `FILES (SHA-256)\n\n${writeManifestLines([...hashes].sort(([a], [b]) => (a < b ? -1 : 1)))}`;

/** By where their names begin, in the order of README.txt. */
const kinds: Readonly<Record<string, string>> = {
  'README.txt': 'this text. Nothing signs it',
  'policy.txt': 'the keys of the two logs, and of witnesses (c2sp.org/tlog-policy)',
  'verify.py': 'a verifier',
  'events/checkpoint': 'name, size and root of the log of events, signed (c2sp.org/tlog-checkpoint, signed-note)',
  'events/tile/': 'its hashes, 256 in a file (c2sp.org/tlog-tiles)',
  'events/leaves': 'the leaves of the source: see above',
  'events/time': 'which time the bundle is of: see above',
  'events/payload/': 'the events, 65,536 positions in a file',
  'events/withheld/': 'the leaves of events whose content is not here: see above',
  'events/sources/': 'the number of the source of each position (2 bytes, 0 for a hole), cut like the tiles of level 0',
  'journal/checkpoint': 'name, size and root of the log of statements, signed in the same way',
  'journal/tile/': 'its hashes',
  'journal/leaves': 'the leaves of the statements that are here: see above',
  'journal/entries.ndjson':
    'the statements, one object of JSON a line: whose log it is (genesis), sources, months dropped by retention, legal holds, changed contents, what was read completely (coverage)',
  'journal/reads.ndjson':
    'the requests behind the statements of coverage: a line for each walk over a log that came to its end',
  'changes.ndjson': 'later contents of events that Cloudflare served again with other content; empty if there are none',
  'anchors/':
    'the newest checkpoints that the operator gave to each anchor, numbered as above, as his database remembers them. They are of this bundle: to compare with one, fetch it from the anchor (3. above)',
  'timestamps/':
    'checkpoints of the journal, and beside each the answer of a time-stamping authority (RFC 3161, .tsr). With its certificate: python3 verify.py --tsa-ca CERTIFICATE.pem',
};

const describeFiles = (paths: readonly string[], isPacked: boolean): string => {
  const all = ['README.txt', ...paths];
  const isThere = (prefix: string) =>
    all.some((path) => (prefix.endsWith('/') ? path.startsWith(prefix) : path === prefix));
  return Object.entries(kinds)
    .filter(([prefix]) => isThere(prefix))
    .map(([prefix, text]) => {
      const packed = isPacked && packable.includes(prefix) ? ', packed by gzip' : '';
      const shown = prefix.endsWith('/') ? `${prefix}...` : prefix;
      return `${shown.padEnd(INDENT)}${wrapped(`${text}${packed}`)}\n`;
    })
    .join('');
};

const packable: readonly string[] = ['events/payload/', 'events/withheld/'];
const INDENT = 24;
const WIDTH = 118 - INDENT;

const wrapped = (text: string): string => {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines.join(`\n${' '.repeat(INDENT)}`);
};

/** Enough to write another verifier. */
const method = `HOW IT IS MADE

Each event has one position, from 1 on, without gaps. Leaf i of the log of events belongs to position i + 1. The data of a
leaf are, one after the other (integers big-endian, text in UTF-8): the 18 bytes "orgtrail/event/v1" and a line feed, a
salt of 16 bytes, the position (8 bytes), when it was received and when it happened (8 bytes each, microseconds since
1970, with a sign; the smallest number if the event has no time), then kind of source, id of source, id of organization, id of the event and its defects, each after its length
(2 bytes), the length of the content (4 bytes) and the SHA-256 of the content (32 bytes). The content is the text of
JSON that Cloudflare sent. A record of events/payload is the length of the leaf (2 bytes), the leaf, the length of the content
(4 bytes), the content. The hash of a leaf is SHA-256(0x00, data), of a node SHA-256(0x01, left, right). Of n leaves, those on the left of the root
are as many as the largest power of two below n (RFC 6962, 2.1).

An event that retention dropped is left out of events/payload; its hash stays in the tiles, and a statement "drop" names
its position. Its salt is gone, so the hash cannot be tested against guesses. A position that never had an event, or lost it before
the log began, has the leaf "orgtrail/hole/v1", a line feed, and the position (8 bytes).

The defects of an event say how it differs from what Cloudflare documents; nothing, if it does not. The chain in a coverage
statement is 32 zero bytes at first, then SHA-256(chain, hash of the leaf) for each event of the source in order of position.

A coverage statement says of one source, by the filter in force (everything, if its text is empty): which times were read
completely ("passes": the first reading, and later ones for entries that came late), as of when ("as_of"); how many of the
first "size" events of the log are of it, with their chain; how each time was read last, and how many new entries that
reading found ("readings"); what was read a second time a day or more later ("read_again", the newest; what is not in it was read once);
times that could not be read ("holes"); how much had no room in the statement ("left_out"); how many
pages were stored of the source so far ("commits"); and how many lines of journal/reads.ndjson there have been, and their hash ("reads").

That hash is 32 zero bytes at first, then SHA-256(hash, SHA-256(line without its line feed)) for each line of the source in order of "number".
Lines are kept for a month and more: those up to "after" are gone, and their hash is in "after". In a line, "since" and "before" are the window
that was asked for, "first_cf_ray" and "last_cf_ray" name the first and the last request at Cloudflare, which may confirm it, and "bodies_sha256"
is SHA-256(hash, SHA-256(body)) over all "answers", from 32 zero bytes on: no more than the word of orgtrail.

The other statements, by "type": "genesis" or "fork" comes first and names the feed, the keys and the retention that the owner
of the database had allowed. "source" gives a source its number, by which events/sources names it; nothing signs
events/sources but the leaves themselves. "drop" says that retention dropped a month: "positions" from the first number up
to the second, that one not included; "events", how many they are; "retention", the rule; "holds", the legal holds in force
by "id"; "dropped_at", when; "ids_sha256", SHA-256 of a line "kind of source, id of source, id of event" for each event, in
order of position, with spaces between the three and line feeds between the lines. A long one goes in "parts". "hold" adds or
releases a legal hold, "key" changes the key, "jump" names positions that never had an event, "change" the SHA-256 of a
later content, "clock" that the clock of the database went back or away from Cloudflare's.

A leaf of the log of statements is "orgtrail/journal/v1", a line feed, and the line of journal/entries.ndjson byte for byte.
Each statement names the log of events as it was then (size and root).

To make this bundle, orgtrail read events, hashes, statements and checkpoints as of one moment of the database, made each leaf again
from the stored event, and verified the result before this text was written.
`;
