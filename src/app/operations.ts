import { listHolds } from '../archive/hold-operations.ts';
import { listCheckpoints, showEvidence } from '../evidence/stored/evidence-operations.ts';
import type { ServedOperation } from '../http/operation.routes.ts';
import { listTokens } from '../postgres/access/token-operations.ts';
import { listDeadLetters, listSinks } from '../status/sink-operations.ts';

/** What the daemon answers at a route and a model by a tool. The commands stand where their subject has its own. */
export const operations: readonly ServedOperation[] = [
  listHolds,
  listTokens,
  listSinks,
  listDeadLetters,
  showEvidence,
  listCheckpoints,
];
