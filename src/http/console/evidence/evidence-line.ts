import type { EvidenceStatus } from '../../../evidence/stored/evidence-status.sql.ts';
import { type Html, html } from '../html.ts';
import { EVIDENCE_PATH } from './evidence-view.ts';
import { isStopped, troublesOf } from './evidence-words.ts';

/** What is wrong with the evidence, in one line that leads to its page; nothing if all is well. */
export const evidenceLine = (status: EvidenceStatus): Html | null => {
  const troubles = troublesOf(status);
  if (troubles.length === 0) return null;
  const state = isStopped(status) ? 'failing' : 'behind';
  return html`<section class="verdict verdict-${state}" aria-label="Evidence"><span class="state state-${state}">evidence</span>
<p>${troubles.join(' · ')}.</p><p><a href="${EVIDENCE_PATH}">Evidence</a></p></section>`;
};
