import { ApiError, exitCodes } from '../../errors.ts';
import { startWalk } from '../../ingest/planning/walk.ts';
import type { SourceKindName } from '../../ingest/sources/registry.ts';
import type { AuditApi } from '../../ingest/sync/ports.ts';
import { printable } from '../output/terminal-table.ts';

/** One line of what `check` says. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly message: string;
  readonly hint?: string | undefined;
  /** What is allowed but probably not meant. */
  readonly notes?: readonly string[];
  readonly exitCode: number;
  /** Of logs: how many were tried, and how many of these refused. */
  readonly tried?: number;
  readonly refused?: number;
}

/** Logs of one kind that are tried: enough to find a missing permission, few enough for the budget. */
const MAX_PROBED = 10;

/** Whose log is tried. */
export interface Probed {
  readonly id: string;
  readonly name?: string | undefined;
}

/** Asks for a page of the first logs of a kind. Throws ApiError for anything but a refusal. `hint`: what to do about refusals. */
export const probeLogs = async (
  api: AuditApi,
  kind: SourceKindName,
  owners: readonly Probed[],
  { name, hint, signal }: { readonly name: string; readonly hint: string; readonly signal: AbortSignal },
): Promise<Check> => {
  const probed = owners.slice(0, MAX_PROBED);
  const nowMs = api.nowMs() ?? 0;
  const walk = startWalk('live', { fromMs: nowMs - 3_600_000, toMs: nowMs - 1_000 }, { readAtMs: nowMs, pageLimit: 1 });
  const refused: string[] = [];
  for (const owner of probed) {
    try {
      await api.fetchPage({ kind, id: owner.id }, walk, signal);
    } catch (error) {
      if (!(error instanceof ApiError) || error.failure !== 'refused') throw error;
      const id = printable(owner.id, 64);
      refused.push(owner.name === undefined ? id : `${id} (${printable(owner.name, 28)})`);
    }
  }
  const tried = probed.length < owners.length ? `the first ${probed.length} tried` : `${probed.length} tried`;
  const counts = { tried: probed.length, refused: refused.length };
  if (refused.length === 0)
    return { name, ok: true, message: `readable (${tried})`, exitCode: exitCodes.done, ...counts };
  const message = `refused (403) for ${refused.length} of ${probed.length}: ${refused.join(', ')}`;
  return { name, ok: false, message, hint, exitCode: exitCodes.sourceFailed, ...counts };
};
