import { FaultPlan } from '../../../src/simulator/faults/fault-plan.ts';
import { accountVoice } from '../../../src/simulator/world/account-templates.ts';
import { BaseHistory, DefectDeal } from '../../../src/simulator/world/base-history.ts';

interface Span {
  readonly count: number;
  /** Just before this they end. Milliseconds since the epoch. */
  readonly endMs: number;
  readonly lengthMs: number;
}

const zones = [
  { id: '023e105f4ecef8ad9ca31a8372d0c353', name: 'shop.example' },
  { id: '9a7806061c88ada191ed06f989cc3dac', name: 'blog.example' },
];

/** What happens in an account: its members and tokens, DNS, Workers, Access. The texts of entries as its audit log has them. */
export const accountEntries = (
  seed: number,
  accountId: string,
  span: Span,
  faults = new FaultPlan(seed),
): readonly string[] => {
  const voice = accountVoice(seed, { id: accountId, name: `Account ${accountId.slice(0, 4)}`, zones });
  const history = new BaseHistory({ voice, ...span, faults, deal: new DefectDeal(voice, faults) });
  return Array.from({ length: span.count }, (_, index) => history.text(index));
};
