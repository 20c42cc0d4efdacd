import { auditFaultReply, type Reply, type Silence } from '../api/reply.ts';
import { readFacts } from '../faults/entry-defects.ts';
import { momentMs } from '../faults/fault-parameters.ts';
import type { FaultPlan, Occasion, SettingOf } from '../faults/fault-plan.ts';
import type { AuditLog } from '../world/audit-log.ts';
import { draw, keyOf } from '../world/random.ts';
import type { SourceRef } from '../world/source.ts';
import type { Cursor } from './audit-cursor.ts';
import type { AuditQuery } from './audit-query.ts';

const dayMs = 86_400_000;

/** What a request is answered with whose window or cursor a fault refuses; undefined when none does. */
export function refusedRequest(
  faults: FaultPlan,
  { window, cursor }: AuditQuery,
  occasion: Occasion,
  nowMs: number,
): Reply | Silence | undefined {
  const widthMs = window.beforeMs - window.sinceMs;
  const limit = faults.meets('window_limit', occasion, ({ maxDays }) => widthMs > maxDays * dayMs);
  if (limit?.status === 'hang') return { silentBy: 'window_limit' };
  if (limit !== undefined) {
    return auditFaultReply('window_limit', limit.status, `the window must not be wider than ${limit.maxDays} days`);
  }
  if (cursor === undefined) return undefined;
  if (cursor.refusedWith !== undefined) return auditFaultReply('dead_cursor', cursor.refusedWith, 'invalid cursor');
  const dead = faults.meets('dead_cursor', occasion, (setting) => isDead(setting, cursor, nowMs));
  return dead === undefined ? undefined : auditFaultReply('dead_cursor', dead.status, 'cursor has expired');
}

function isDead(setting: SettingOf<'dead_cursor'>, cursor: Cursor, nowMs: number): boolean {
  const { issuedBefore, olderThanSeconds, onPage } = setting;
  if (issuedBefore !== undefined && cursor.issuedMs >= momentMs(issuedBefore)) return false;
  if (olderThanSeconds !== undefined && nowMs - cursor.issuedMs <= olderThanSeconds * 1000) return false;
  return onPage === undefined || cursor.onPage === onPage;
}

/** What a page is answered with that has a poisoned entry; undefined when none is. An entry is either poisoned or not; that never changes. */
export function poisonedPage(
  faults: FaultPlan,
  log: AuditLog,
  seqs: readonly number[],
  source: SourceRef,
): Reply | undefined {
  if (!faults.isOn('poison_page')) return undefined;
  const key = keyOf(source.id);
  for (const seq of seqs) {
    const occasion: Occasion = { number: draw(key, seq), source, operation: 'audit' };
    const poison = faults.meets('poison_page', occasion, (setting) => isPoisoned(setting, log, seq));
    if (poison !== undefined) return auditFaultReply('poison_page', poison.status, 'internal error');
  }
  return undefined;
}

function isPoisoned({ ids, times, since, before }: SettingOf<'poison_page'>, log: AuditLog, seq: number): boolean {
  const hasRange = since !== undefined || before !== undefined;
  if (ids === undefined && times === undefined && !hasRange) return true;
  const timeMs = log.timeMs(seq);
  if (times?.some((moment) => momentMs(moment) === timeMs) === true) return true;
  const fromMs = since === undefined ? Number.NEGATIVE_INFINITY : momentMs(since);
  const untilMs = before === undefined ? Number.POSITIVE_INFINITY : momentMs(before);
  if (hasRange && fromMs <= timeMs && timeMs < untilMs) return true;
  if (ids === undefined) return false;
  const { id } = readFacts(log.originalText(seq));
  return id !== null && ids.includes(id);
}
