import { listArchive } from '../archive/catalogue-operations.ts';
import { confirmHolds, endHold, listHolds, orderHold } from '../archive/hold-operations.ts';
import { orderThaw } from '../archive/thaw/thaw-operation.ts';
import type { Operation } from '../base/operation.ts';
import { listCheckpoints, showEvidence } from '../evidence/stored/evidence-operations.ts';
import { createToken, listTokens, revokeToken } from '../postgres/access/token-operations.ts';
import { listSaved } from '../search/saved-searches.sql.ts';
import { checkDetections } from '../sinks/findings/own-detections.sql.ts';
import { listDeadLetters, listSinks, replay } from '../status/sink-operations.ts';
import { type AppSource, showStatus } from './status-operation.ts';

/** Each is a command, for a database and for a daemon, a route, and a tool of a model. */
export const operations: readonly Operation<AppSource>[] = [
  showStatus,
  orderHold,
  listHolds,
  endHold,
  confirmHolds,
  createToken,
  listTokens,
  revokeToken,
  listSinks,
  replay,
  listDeadLetters,
  listSaved,
  checkDetections,
  listArchive,
  orderThaw,
  showEvidence,
  listCheckpoints,
];
