import { confirmHolds, endHold, listHolds, orderHold } from '../archive/hold-operations.ts';
import { listCheckpoints, showEvidence } from '../evidence/stored/evidence-operations.ts';
import type { ServedOperation } from '../http/operation.routes.ts';
import { createToken, listTokens, revokeToken } from '../postgres/access/token-operations.ts';
import { listDeadLetters, listSinks, replay } from '../status/sink-operations.ts';

/** What the daemon answers at a route and a model by a tool. The commands stand where their subject has its own. */
export const operations: readonly ServedOperation[] = [
  listHolds,
  orderHold,
  endHold,
  confirmHolds,
  listTokens,
  createToken,
  revokeToken,
  listSinks,
  listDeadLetters,
  replay,
  showEvidence,
  listCheckpoints,
];
