import { anchoredPath } from '../anchors/mirror.ts';
import { writeManifestLines } from '../bundle/manifest.ts';
import { bundleTimeText } from '../bundle/time-of-bundle.ts';
import { type KeyHistory, keysInForce, stolenKeys } from '../growth/keys-in-force.ts';
import type { ExportedAnchor } from './copy-anchors.sql.ts';
import type { ExportedTime } from './copy-payload.sql.ts';
import { describeFiles } from './readme-contents.ts';
import { method } from './readme-method.ts';
import type { ExportedLogs } from './snapshot.sql.ts';

export interface ReadmeFacts {
  readonly logs: ExportedLogs;
  /** Of orgtrail. */
  readonly version: string;
  readonly vkeys: readonly string[];
  /** What the journal says of keys. */
  readonly keys: KeyHistory;
  /** Events whose payload is in the bundle. */
  readonly events: number;
  readonly isPacked: boolean;
  /** Undefined: of all times. */
  readonly time?: ExportedTime | undefined;
  /** Events whose leaf is in it, and not their payload. */
  readonly withheld: number;
  /** Undefined: of all sources. */
  readonly source?: { readonly kind: string; readonly id: string } | undefined;
  readonly part?: { readonly leaves: number; readonly completeTo: number } | undefined;
  /** Sentences of the verification that was made of the bundle; none if it holds. */
  readonly faults: readonly string[];
  readonly hashes: ReadonlyMap<string, string>;
  readonly anchored: readonly ExportedAnchor[];
}

/** README.txt: what an auditor needs who has never seen orgtrail, and the list of files. */
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

/** A name of an anchor is that of the operator's settings: it may mean something to him alone. */
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

/** Names are Cloudflare's: one must not begin a line of the list of files. */
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
/** Nothing, if there was one key from the beginning. */
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
