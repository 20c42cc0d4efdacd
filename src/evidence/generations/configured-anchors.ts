import { OrgtrailError, reasonOf } from '../../errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { AnchorTarget } from '../anchors/anchor-targets.ts';
import { openAnchors, type S3Settings } from '../anchors/open-anchors.ts';
import type { Anchor } from '../anchors/ports.ts';
import { readAnchorStatus } from '../stored/anchor-status.sql.ts';
import { type Anchored, readAnchored, type StoppedLog } from './anchored-notes.ts';

/** ORGTRAIL_EVIDENCE_ANCHORS, and what signs the requests of those that are object storage. */
interface ConfiguredAnchors {
  readonly anchors: readonly AnchorTarget[];
  readonly s3: S3Settings;
}

/** Those that can be read: a witness and an authority show no checkpoints. */
const readable = /^(file|s3):/;

/**
 * What the anchors of the settings have that a fork must know. Throws OrgtrailError `usage` for one that cannot be read, for one that the
 * daemon has and these settings do not, and for a name of `without` that is none of these. `readStatements`: of the anchor that has most.
 */
export const readConfiguredAnchors = async (
  pool: Pool,
  { anchors: targets, s3 }: ConfiguredAnchors,
  without: readonly string[],
  log: StoppedLog,
): Promise<Anchored & { readonly readStatements: number }> => {
  const anchors = openAnchors(targets, s3);
  const ofDaemon = await anchorsOfDaemon(pool, log.generation);
  const names = [...new Set([...anchors.map(({ name }) => name), ...ofDaemon])];
  const unknown = without.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    const known = names.length === 0 ? 'there is none' : `there are ${names.join(', ')}`;
    throw new OrgtrailError('usage', `--without-anchor ${unknown}: there is no such anchor; ${known}`);
  }
  const missing = ofDaemon.find((name) => !without.includes(name) && anchors.every((anchor) => anchor.name !== name));
  if (missing !== undefined) {
    throw new OrgtrailError(
      'usage',
      `the daemon has the anchor ${missing}, and ORGTRAIL_EVIDENCE_ANCHORS here has not`,
      {
        hint: `set it, or leave it out: --without-anchor ${missing}`,
      },
    );
  }
  const read: Anchored[] = [];
  for (const anchor of anchors) {
    if (!without.includes(anchor.name)) read.push(await readOne(anchor, log));
  }
  return {
    notes: read.flatMap(({ notes }) => notes),
    statements: read.flatMap(({ statements }) => statements),
    signedStatements: Math.max(0, ...read.map(({ signedStatements }) => signedStatements)),
    readStatements: Math.max(0, ...read.map(({ statements }) => statements.length)),
  };
};

const anchorsOfDaemon = async (pool: Pool, generation: number): Promise<string[]> => {
  const known = await readAnchorStatus(pool, generation);
  return known.flatMap(({ anchor, isConfigured }) => (isConfigured && readable.test(anchor) ? [anchor] : []));
};

const readOne = async (anchor: Anchor, log: StoppedLog): Promise<Anchored> => {
  try {
    return await readAnchored(anchor, log);
  } catch (error) {
    throw new OrgtrailError('usage', `the anchor ${anchor.name} cannot be read: ${reasonOf(error)}`, {
      hint: `what it has decides about the number of the generation, the common size and the holds; if it is lost, leave it out: --without-anchor ${anchor.name}`,
      cause: error,
    });
  }
};
