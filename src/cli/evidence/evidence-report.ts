import type { EvidenceStatus } from '../../evidence/stored/evidence-status.sql.ts';
import type { Report } from '../../evidence/verify/report.ts';
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
    ['adopted', `${status.adoptedSize} events were there before`],
    ['built by', heldBy ?? 'none at the moment'],
    ['anchors', 'none: unanchored. The owner of database and key could rewrite all of it'],
  ];
  return `${alignColumns(rows).join('\n')}\n`;
};

/** What a verification found, for people. */
export const reportText = ({ holds, faults, claims, notClaimed }: Report): string => {
  const part = (title: string, lines: readonly string[]) =>
    lines.length === 0 ? '' : `${title}\n${lines.map((line) => `  ${line}\n`).join('')}`;
  const messages = faults.map(({ message }) => message);
  return [
    part('holds:', claims),
    part('does not hold:', messages),
    part('not claimed:', notClaimed),
    `the evidence ${holds ? 'holds' : 'does not hold'}\n`,
  ].join('');
};

/** The same for programs. */
export const reportJson = ({ holds, claims, faults, faultCounts, notClaimed }: Report) => ({
  holds,
  claims,
  faults,
  fault_counts: Object.fromEntries(faultCounts),
  not_claimed: notClaimed,
});
