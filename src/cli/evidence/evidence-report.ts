import { type EvidenceStatus, isUnanchored } from '../../evidence/stored/evidence-status.sql.ts';
import { faultText, type Report } from '../../evidence/verify/report.ts';
import { alignColumns } from '../output/terminal-table.ts';

/** How the log stands, for people. */
export const evidenceStatusText = (status: EvidenceStatus): string => {
  const { signedSize, signedSecondsAgo, stateReason, heldBy } = status;
  const signed =
    signedSize === null ? 'nothing yet' : `${signedSize} events, ${Math.round(signedSecondsAgo ?? 0)} s ago`;
  const rows = [
    ['log', status.origin],
    ['state', stateReason === null ? status.state : `${status.state}: ${stateReason}`],
    ['leaves', `${status.size}, ${status.lagEvents} behind; ${status.statements} statements`],
    ['root', status.root.toString('base64')],
    ['signed', signed],
    ['coverage', coverageText(status)],
    ['adopted', `${status.adoptedSize} events were there before`],
    ['built by', heldBy ?? 'none at the moment'],
    ...keyRows(status),
    ...anchorRows(status),
  ];
  return `${alignColumns(rows).join('\n')}\n`;
};

const keyRows = ({ keyOrdered, oldKeyUntil }: EvidenceStatus): string[][] => [
  ...(keyOrdered === null
    ? []
    : [['key', `another one is ordered (${keyOrdered}): no process that has it has stated it yet`]]),
  ...(oldKeyUntil === null ? [] : [['keys', `two sign until ${oldKeyUntil}`]]),
];

const anchorRows = (status: EvidenceStatus): string[][] => {
  const unanchored = 'unanchored: the owner of database and key could rewrite all of it';
  const rows = status.anchors.map(({ anchor, isConfigured, size, secondsAgo, error }) => {
    const kept = size === null ? 'nothing yet' : `${size} events, ${Math.round(secondsAgo ?? 0)} s ago`;
    const fails = error !== null && isConfigured ? `; fails: ${error}` : '';
    return ['anchor', `${anchor}: ${kept}${fails}${isConfigured ? '' : '; not in the settings any more'}`];
  });
  return isUnanchored(status) ? [...rows, ['anchors', unanchored]] : rows;
};

const coverageText = ({ statedSecondsAgo, unstatedSources, overdueSources }: EvidenceStatus): string => {
  const last = statedSecondsAgo === null ? 'not stated yet' : `last stated ${Math.round(statedSecondsAgo)} s ago`;
  const never = unstatedSources === 0 ? '' : `; ${unstatedSources} sources never`;
  return `${last}${never}${overdueSources ? `; ${overdueSources} sources are overdue` : ''}`;
};

/** No key and no checkpoint proves it: said before what holds. */
const OPERATORS_WORD =
  "the operator's word, whatever else holds: that orgtrail was given all that Cloudflare had, and stored it. To test it, ask Cloudflare for some days with a credential of your own, and compare the ids";

/** What a verification found, for people. */
export const reportText = (report: Report): string => {
  const { subject, unread, holds, isAnchored, faults, claims, notChecked, notClaimed, notCompared } = report;
  const part = (title: string, lines: readonly string[]) =>
    lines.length === 0 ? '' : `${title}\n${lines.map((line) => `  ${line}\n`).join('')}`;
  // What an auditor has kept himself comes before what the bundle says of itself.
  const kept = faults.find(({ code }) => code === 'anchor');
  return [
    ...[
      kept && `it does not hold: ${faultText(kept)}`,
      ...notCompared.map((text) => `not compared, and not claimed: ${text}`),
      subject,
      unread,
      OPERATORS_WORD,
    ].map((line) => (line === undefined ? '' : `${line}\n`)),
    part(isAnchored ? 'holds:' : 'holds, as far as the signer is believed (unanchored):', claims),
    part('does not hold:', faults.map(faultText)),
    part('not checked:', notChecked),
    part('not claimed:', notClaimed),
    `the evidence ${holds ? 'holds' : 'does not hold'}\n`,
  ].join('');
};

/** The same for programs. */
export const reportJson = ({
  isOfOneSource,
  source,
  time,
  holds,
  claims,
  faults,
  faultCounts,
  coverage,
  notChecked,
  notClaimed,
}: Report) => ({
  ...(isOfOneSource && { source: source ?? null }),
  ...(time && { time }),
  holds,
  claims,
  faults,
  fault_counts: Object.fromEntries(faultCounts),
  coverage,
  not_checked: notChecked,
  not_claimed: notClaimed,
});
