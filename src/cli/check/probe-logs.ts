import { ApiError, exitCodes } from '../../errors.ts';
import { startWalk } from '../../ingest/planning/walk.ts';
import type { SourceKindName } from '../../ingest/sources/registry.ts';
import type { AuditApi } from '../../ingest/sync/ports.ts';
import { apiAdvice } from '../api-advice.ts';
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
/** After so many failures that are no refusals the answer is known; each may take all attempts of a request. */
const MAX_FAILED = 2;

/** Whose log is tried. */
export interface Probed {
  readonly id: string;
  readonly name?: string | undefined;
}

/**
 * Asks for a page of the first logs of a kind. A log that is refused or not found (403, 404) is counted, as the daemon does; any other
 * failure is told beside them, and thrown as ApiError if every log fails so; after two of these no more are tried. `hint`: what to do about refusals.
 */
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
  const statuses = new Set<number>();
  const failed: ApiError[] = [];
  let asked = 0;
  for (const owner of probed) {
    if (failed.length === MAX_FAILED) break;
    asked += 1;
    try {
      await api.fetchPage({ kind, id: owner.id }, walk, signal);
    } catch (error) {
      if (!(error instanceof ApiError) || signal.aborted) throw error;
      if (error.failure === 'refused' || error.failure === 'not_found') {
        refused.push(nameOf(owner));
        statuses.add(error.failure === 'refused' ? 403 : 404);
      } else failed.push(error);
    }
  }
  const [failure] = failed;
  if (failure !== undefined && failed.length === asked) throw failure;
  const tried = probed.length < owners.length ? `the first ${probed.length} tried` : `${probed.length} tried`;
  const counts = { tried: asked, refused: refused.length };
  if (failure !== undefined) {
    const message = `failed for ${failed.length} of ${asked}, refused for ${refused.length}: ${failure.message}`;
    return { name, ok: false, message, hint: apiAdvice(failure).hint, exitCode: exitCodes.sourceFailed, ...counts };
  }
  if (refused.length === 0)
    return { name, ok: true, message: `readable (${tried})`, exitCode: exitCodes.done, ...counts };
  const message = `refused (${[...statuses].sort().join(', ')}) for ${refused.length} of ${probed.length}: ${refused.join(', ')}`;
  return { name, ok: false, message, hint, exitCode: exitCodes.sourceFailed, ...counts };
};

const nameOf = ({ id, name }: Probed): string =>
  name === undefined ? printable(id, 64) : `${printable(id, 64)} (${printable(name, 28)})`;
