import { writeList } from '../bundle/layout.ts';
import { type Report, reportLines } from '../verify/report.ts';
import type { ExportedAnchor } from './copy-statements.sql.ts';
import type { ExportedLog } from './snapshot.sql.ts';

export interface WrittenBundle {
  readonly log: ExportedLog;
  /** With their content. */
  readonly events: number;
  readonly statements: number;
  readonly vkeys: readonly string[];
  /** None: the bundle is unanchored. */
  readonly anchors: readonly ExportedAnchor[];
  readonly report: Report;
}

interface ReadmeFacts {
  readonly version: string;
  /** What is special about this bundle. */
  readonly about: readonly string[];
  readonly hashes: ReadonlyMap<string, string>;
}

/** README.txt, for an auditor who has neither orgtrail nor a network. */
export const writeReadme = (bundle: WrittenBundle, { version, about, hashes }: ReadmeFacts): string =>
  [
    head(bundle, version),
    claims,
    verifying(bundle),
    sample,
    ...(about.length === 0 ? [] : [`ABOUT THIS BUNDLE\n\n${about.join('\n')}\n`]),
    state(bundle),
    writeList(hashes),
  ].join('\n');

const head = ({ report, log }: WrittenBundle, version: string): string => `\
EVIDENCE OF CLOUDFLARE AUDIT LOGS, written by orgtrail ${version} at ${log.at}
${report.holds ? '' : 'IT DID NOT HOLD WHEN IT WAS WRITTEN: '}${reportLines(report)[0] ?? ''}
What it can prove, and against whom (verify.py says which of it holds here):`;

/** The same order as in both verifiers. */
const claims = `\
1 the files are those that were written. Against accidents, by the list below
2 these leaves in this order are what the key signed, contents included. Against those who handed it on, once you compare the keys
3 nothing is left out of the selection. Against those who exported it
4 what was dropped, when, by which retention, under no legal hold. Against the administrator of the database
5 what is stated as read lies within what was asked of Cloudflare. Against mistakes, and against widening it afterwards
6 all of that unchanged since a checkpoint was kept. Against THE OPERATOR, if you kept one, or a witness saw it
7 NOT CLAIMED, the operator's word whatever is kept: that what Cloudflare sent was stored, that nothing was invented (THE SAMPLE)
`;

const verifying = ({ vkeys, log }: WrittenBundle): string => `\
HOW TO VERIFY IT (offline; Python 3.9 or later and nothing else; seconds, or minutes for millions of events)

       python3 verify.py                          claims 1 to 5; exit code 0: it holds, 5: it does not, 2: no bundle
       python3 verify.py --policy FILE            with keys of your own, in the form of policy.txt
       python3 verify.py --anchor CHECKPOINT      claim 6, with a checkpoint that you kept; may be repeated

Compare policy.txt with the keys that you were given on another way:
${vkeys.map((vkey) => `       ${vkey}\n`).join('')}
Keep the file "checkpoint" of this bundle (${log.size} leaves): the next bundle must go on from it.
FORMAT.txt has all that is needed to write a verifier. One, written apart from verify.py, is in orgtrail:
orgtrail evidence verify . must come to the same result. verify.py came with this folder: take one from elsewhere if you do
not trust who handed it on.
`;

/** If 60 of 540 days lack something, 20 that are drawn find one with 90.9 %. */
const sample = `\
THE SAMPLE: HOW TO KNOW THAT NOTHING WAS LEFT OUT (an hour, with a credential of your own)

       orgtrail evidence sample . --days 20 --word 'a word that you think of now, after the checkpoint is in your hands'
       orgtrail fetch --organization ID --day 2026-03-04 >> FILE    for each day that it draws; or curl, all pages
       python3 verify.py --sample 20 --word '…' --compare FILE      missing here, other content, only here: exit code 5

63 of 3,048 entries hidden at random times over 540 days: 20 days find it with 90.9 %, 40 with 99.3 %, all with 100 %.
63 hidden within 10 days: 31.7 %, 54.0 %, 100 %. One entry: 3.7 %, 7.4 %, 100 %. So fetch all days if that is some million
entries or fewer (--all): a day is a request or two, and 1,200 requests are allowed in 5 minutes.
`;

const stateWords: Readonly<Record<string, string>> = {
  ok: '',
  building: '',
  behind:
    'The database went back behind what is signed: nothing is signed any more, and this is the last signed state.',
  halted: 'What is stored contradicts what is signed: nothing is signed any more, and this is the last signed state.',
  'no key': 'No process has the key: nothing is signed any more, and this is the last signed state.',
  ended: 'The operator has ended the log: nothing follows.',
};

const state = ({ log, anchors, events, statements }: WrittenBundle): string => `\
THE LOG

${log.origin}, ${log.size} leaves; here are ${events} events with their content and ${statements} statements.
${stateWords[log.state] ?? ''}${log.stateReason === null ? '' : ` (${log.stateReason})`}
${
  anchors.length === 0
    ? 'No anchor outside of the database has a checkpoint of it.'
    : `Checkpoints that others have, as the operator's database remembers them; those in anchors/ are no proof, fetch them from there:
${anchors.map(({ anchor, size, at }) => `       ${anchor}: ${size} leaves, at ${at}\n`).join('')}`
}
The list of the files, which sha256sum --check reads:
`;
