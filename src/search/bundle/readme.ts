import { writeManifestLines } from '../../evidence/bundle/layout.ts';
import { foundFiles } from '../../evidence/bundle/records.ts';
import type { ProvenUnder } from '../../evidence/export/prove.sql.ts';
import type { ShownEvidence } from '../../evidence/shown-evidence.sql.ts';
import type { EmptyReport, IncompleteReason, SearchCoverage, SearchHole } from '../answer.ts';
import { coverageBody, emptyBody } from '../contract.ts';
import { commandOf, misleading } from '../copy-as.sql.ts';
import {
  fixTimes,
  printLine,
  printSearch,
  type Search,
  type SearchField,
  type SearchReading,
} from '../query/search.ts';
import type { Term, TermField } from '../query/terms.ts';
import type { SearchSource } from '../search-source.ts';

/** README.txt: what was asked, what the bundle shows, the commands that verify it, and the list of files. */
export const bundleReadme = (bundle: SearchBundle, parts: ReadmeParts, hashes: ReadonlyMap<string, string>): string =>
  [
    head(bundle, parts),
    bundle.under === undefined ? unsignedText : verifyText,
    contents(bundle),
    `FILES (SHA-256)\n\n${writeManifestLines([...hashes].sort(([a], [b]) => (a < b ? -1 : 1)))}`,
  ].join('\n');
type ReadmeParts = Pick<SearchBundleParts, 'version' | 'nowMs'> & { readonly question: ReturnType<typeof questionOf> };

const head = (
  { events, unsigned, completeness, under }: SearchBundle,
  { version, nowMs, question }: ReadmeParts,
): string => {
  const reasons = reasonsOf(completeness);
  return `A SEARCH OF CLOUDFLARE AUDIT LOGS

This folder is the answer of orgtrail, a program that copies the audit logs of Cloudflare into a database, to one
question. ${foundFiles.query} has the question to the letter, and who asked.

${asked(question)}
Asked at            ${new Date(nowMs).toISOString()}, of orgtrail ${version}
Events              ${events}${leftOutText(completeness)}
Signed              ${
    under === undefined
      ? 'nothing: there is no signed log'
      : `${events - unsigned} of them, under the checkpoint of ${under.size} positions of
                    ${under.origin}${under.state === 'ok' || under.state === 'building' ? '' : `\nState of the log    ${under.state}: nothing is signed any more`}`
  }
Complete            ${reasons.length === 0 ? `yes, ${upTo(completeness)}` : `no: ${reasons.join(', ')}`}, as orgtrail says; ${foundFiles.completeness} has
                    the gaps and holes

What it shows:      ${under === undefined ? 'nothing that a signature proves. The list below shows damage on the way.' : 'each of these events is what orgtrail stored, unchanged since the checkpoint was signed.'}
What it does not:   that these are all events that match. That is what orgtrail answered, of what had been collected
                    (${foundFiles.completeness}). That nothing is left out of one organization's or account's log is what a bundle
                    of that log proves: orgtrail evidence export DIR --organization NAME.
                    That Cloudflare told the truth or everything, or who did something.
`;
};

/** A question without an end is asked some seconds before its last events are read. */
const upTo = ({ coverage }: SearchBundle['completeness']): string =>
  coverage.collectedUntil === null ? 'of nothing collected yet' : `up to ${coverage.collectedUntil}`;

/** Texts of others are each in a line that begins with words of this page, so that none can look like something else. */
const asked = ({ words, line, address, command }: ReadmeParts['question']): string =>
  [
    ...words.map((word, at) => `${at === 0 ? 'Question            ' : '                and '}${inOneLine(word)}`),
    `As a query line     ${line === '' ? '(none: it asks for everything)' : inOneLine(line)}`,
    `In the console      ${inOneLine(address)}`,
    `In a terminal       ${inOneLine(command)}`,
    '',
  ].join('\n');

const leftOutText = ({ leftOut }: SearchBundle['completeness']): string =>
  leftOut === undefined
    ? ''
    : `, the newest that match. Older ones are LEFT OUT, since the bundle is full: from ${
        leftOut.action_time ?? 'those without a time'
      } (position ${leftOut.position}) on`;

const unsignedText = `HOW TO CHECK IT

The files are as they were written, unless this prints something:

       python3 verify.py
       grep -E '^[0-9a-f]{64}  ' README.txt | sha256sum --check --quiet
`;

/** The program is RFC 9162, 2.1.3.2, short enough to be read. */
const verifyText = `HOW TO VERIFY IT (offline, in this folder)

1. With Python 3.9 or later and openssl. It says what holds, what does not, and what is not claimed; exit code 5 if something
   does not hold. It came with this folder: take a verify.py from elsewhere if you do not trust the sender.

       python3 verify.py

   Or with orgtrail (npm package or container image), a second verifier, without a database:

       orgtrail evidence verify .

2. Or with some lines of Python that can be read at once. They print how many events are in the log, or stop at the first that is not:

       sed -n '/^#begin$/,/^#end$/p' README.txt > /tmp/check.py && python3 /tmp/check.py

#begin
import base64, hashlib, itertools, json
H = lambda data: hashlib.sha256(data).digest()
name, size, root = open("checkpoint", encoding="utf-8").read().split("\\n")[:3]
root, found = base64.b64decode(root), 0
lines = itertools.zip_longest(open("events.ndjson", "rb"), open("proofs.ndjson", "rb"))
for number, (event, proof) in enumerate(lines, 1):
    proof = json.loads(proof)
    if proof["leaf"] is None:
        print("line", number, "is not signed yet")
        continue
    leaf = base64.b64decode(proof["leaf"])
    i, s, h = proof["position"] - 1, int(size) - 1, H(b"\\0" + leaf)
    for sibling in map(base64.b64decode, proof["hashes"]):
        if i % 2 or i == s:
            h = H(b"\\1" + sibling + h)
            while i and i % 2 == 0:
                i, s = i // 2, s // 2
        else:
            h = H(b"\\1" + h + sibling)
        i, s = i // 2, s // 2
    assert s == 0 and h == root, f"line {number}: the event is not in the log"
    cut = event.index(b',"raw":')
    said = json.loads(event[:cut] + b"}")
    raw = said["raw_text"].encode() if "raw_text" in said else event[cut + 7:-2]
    assert leaf[-32:] == H(raw), f"line {number}: the content is another one"
    assert int.from_bytes(leaf[34:42], "big") == said["position"] == proof["position"], f"line {number}: another position"
    found += 1
print(found, "events are in", name, "as it was among", size)
#end

3. The signature of the checkpoint (it prints "Signature Verified Successfully"). Compare policy.txt with the key that you
   were given on another way; the checkpoint with one of the same size that was kept elsewhere:

       T=$(mktemp -d)
       head -n 3 checkpoint > $T/text
       grep "^— $(head -n 1 checkpoint) " checkpoint | cut -d ' ' -f 3 | base64 -d | tail -c 64 > $T/signature
       (printf '\\060\\052\\060\\005\\006\\003\\053\\145\\160\\003\\041\\000'
        grep events+ policy.txt | head -n 1 | sed 's/.*events+[0-9a-f]*+//' | base64 -d | tail -c 32) > $T/key
       openssl pkeyutl -verify -pubin -keyform DER -inkey $T/key -rawin -in $T/text -sigfile $T/signature

4. The files, for damage on the way (it prints nothing if all are the same):

       grep -E '^[0-9a-f]{64}  ' README.txt | sha256sum --check --quiet
`;

const contents = ({ under }: SearchBundle): string => `WHAT IS IN IT

${foundFiles.query}          the question with its times made out, as it was written, in words, as a query line, an address of the
                    console and a command; when, by whom
${foundFiles.events}       the events, newest first, one a line: words of the leaf, and the content as it is stored: to the
                    byte what Cloudflare sent, or, if the defects name a text that PostgreSQL cannot hold, that as a string of JSON
${foundFiles.completeness}   what had been read of the time that was asked for, gaps, holes
${
  under === undefined
    ? ''
    : `${foundFiles.proofs}       for each line of ${foundFiles.events} the leaf (base64) and the hashes from there to the root
${foundFiles.checkpoint}          name, size and root of the log, signed (c2sp.org/tlog-checkpoint)
${foundFiles.policy}          its key (c2sp.org/tlog-policy)
`
}${foundFiles.verifier}           the first verifier
`;

/** The same question in several ways; relative times are made out. `words`: a condition each, and all must hold. `origin`: of the console. */
export const questionOf = (asked: Search, nowMs: number, origin = '') => {
  const search = fixTimes(asked, nowMs);
  const parameters = printSearch(search).toString();
  return {
    words: wordsOf(search),
    line: printLine(search),
    address: `${origin}/events${parameters === '' ? '' : `?${parameters}`}`,
    command: commandOf(search, undefined),
  };
};

const names: Partial<Readonly<Record<SearchField | TermField, string>>> = {
  resource_type: 'type of the resource',
  product: 'product of the resource',
  resource: 'id of the resource',
  ray: 'Ray id',
  email: 'e-mail address of the actor',
  ip: 'IP address of the actor',
  token: 'token',
  actor_id: 'id of the actor',
  actor_type: 'type of the actor',
  context: 'context of the actor',
  status: 'HTTP status',
  method: 'HTTP method',
  uri: 'URI',
  agent: 'user agent',
};

const wordsOf = (search: Search): string[] => {
  const { terms = [], ...fields } = search;
  const words = [...printSearch(fields)].map(([field, value]) => ofField(field as SearchField, value));
  const all = [...words, ...terms.map(ofTerm)];
  return all.length === 0 ? ['every event that is stored'] : all;
};

const ofField = (field: SearchField, value: string): string => {
  if (field === 'since') return `at ${value} or later`;
  if (field === 'before') return value === 'now' ? 'up to now' : `before ${value}`;
  if (field === 'text') return `the entry contains ${JSON.stringify(value)}`;
  if (field === 'defects') return 'the entry could not be read in full';
  if (field === 'copies') return 'of an entry in the logs of several accounts, the first that matches';
  if (field === 'changed') return 'the entry changed later';
  return `the ${names[field] ?? field} is ${JSON.stringify(value)}${field === 'actor' && hasStar([value]) ? ANY_REST : ''}`;
};

const ofTerm = ({ field, isNegated, values }: Term): string => {
  const list = values.map((value) => JSON.stringify(value)).join(' or ');
  if (field === 'text') return `the entry ${isNegated ? 'does not contain' : 'contains'} ${list}`;
  return `the ${names[field] ?? field} is ${isNegated ? 'not ' : ''}${list}${hasStar(values) ? ANY_REST : ''}`;
};

const ANY_REST = ' (* is any rest)';

const hasStar = (values: readonly string[]): boolean => values.some((value) => value.includes('*'));

const SHOWN = 400;

/** No control or bidirectional character, no line break, and not endless: so no text of others can look like a line of the list of files. */
const inOneLine = (text: string): string => {
  const characters = [...text];
  const shown = characters
    .slice(0, SHOWN)
    .map((one) => (misleading.test(one) || separators.test(one) ? escaped(one) : one));
  return `${shown.join('')}${characters.length > SHOWN ? '… (query.json has all of it)' : ''}`;
};

const separators = /[\u2028\u2029]/;
const escaped = (character: string): string => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;

/** Of gaps and holes; all are counted in the seconds. */
export const MAX_NAMED = 1_000;

/** The newest event that matches and is not in the bundle, since that is full. */
export interface LeftOut {
  readonly position: number;
  /** Null if the entry has none. */
  readonly action_time: string | null;
}

interface Completeness {
  readonly coverage: SearchCoverage;
  readonly holes: readonly SearchHole[];
  readonly empty: EmptyReport | undefined;
  readonly incomplete: readonly IncompleteReason[];
  /** Undefined: nothing that matches is left out. */
  readonly leftOut: LeftOut | undefined;
}

export const reasonsOf = ({ incomplete, leftOut }: Completeness): readonly string[] => [
  ...incomplete,
  ...(leftOut === undefined ? [] : ['older_events_left_out']),
];

/** `completeness.json`, in the names of `GET /v1/search`. */
export const completenessJson = (completeness: Completeness) => {
  const { coverage, holes, empty, leftOut } = completeness;
  const because = reasonsOf(completeness);
  const {
    filtered,
    archived_months,
    dropped_months,
    begins_earlier,
    not_collected: _,
    ...collected
  } = coverageBody(coverage);
  return {
    complete: because.length === 0,
    incomplete_because: because,
    newest_left_out: leftOut ?? null,
    ...collected,
    begins_before_collection: begins_earlier,
    ...{ filtered, archived_months, dropped_months },
    gaps: coverage.gaps.map((gap) => ({
      organization_id: gap.organizationId,
      organization_name: gap.organizationName,
      account_id: gap.accountId,
      account_name: gap.accountName,
      since: gap.since,
      before: gap.before,
    })),
    holes: holes.map(({ sourceKind, sourceId, since, before, reason, message }) => ({
      source_kind: sourceKind,
      source_id: sourceId,
      since,
      before,
      reason,
      message,
    })),
    empty: empty === undefined ? null : emptyBody(empty).filters.map(({ near: _near, ...filter }) => filter),
  };
};

export interface SearchBundleParts {
  readonly source: SearchSource;
  readonly evidence: Pick<ShownEvidence, 'status' | 'proveAll'> | undefined;
  /** Without faults, organization and account as ids. */
  readonly reading: SearchReading;
  readonly askedBy: {
    readonly by: 'console' | 'command';
    /** Of a token, or of the account of the database; null: open on loopback. */
    readonly name: string | null;
  };
  readonly version: string;
  /** The newest events, up to these limits; it says if older ones are left out. */
  readonly maxEvents: number;
  readonly maxEventBytes: number;
  /** Of the console that was asked, as `https://audit.example.com`. */
  readonly origin?: string;
  readonly nowMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface SearchBundle {
  readonly events: number;
  readonly unsigned: number;
  readonly completeness: Completeness;
  readonly under: ProvenUnder | undefined;
}
