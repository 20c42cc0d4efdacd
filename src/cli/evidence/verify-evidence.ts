import { publicKeysOf } from '../../app/evidence/start-evidence.ts';
import type { EvidenceConfig } from '../../config/config.ts';
import { OrgtrailError, reasonOf } from '../../errors.ts';
import { createEvidenceStore } from '../../evidence/builder/evidence-store.sql.ts';
import { keyOfLog } from '../../evidence/builder/sign-log.ts';
import { type BundleReader, bundleFiles } from '../../evidence/bundle/layout.ts';
import { everyKey, keyHistory } from '../../evidence/growth/keys-in-force.ts';
import { readJournal } from '../../evidence/journal/statement-text.ts';
import { type Policy, parsePolicy } from '../../evidence/notes/policy.ts';
import { parseVerifierKey, type VerifierKey } from '../../evidence/notes/verifier-key.ts';
import { readStored } from '../../evidence/stored/read-stored.sql.ts';
import { verifyColumns } from '../../evidence/stored/verify-columns.sql.ts';
import { verifyStored } from '../../evidence/stored/verify-stored.ts';
import type { Report } from '../../evidence/verify/report.ts';
import type { Anchor } from '../../evidence/verify/verify-anchors.ts';
import type { Pool } from '../../postgres/pool.ts';

export interface VerifyDatabaseOptions {
  readonly anchors: readonly Anchor[];
  /** The text of a policy. */
  readonly policy: Buffer | undefined;
  readonly evidence: EvidenceConfig | undefined;
  /** Whether the columns beside `raw` are compared with it. */
  readonly hasColumns?: boolean;
}

/** One statement reads so many: it has a minute, in which a slow database gives some hundred thousand. */
const POSITIONS_AT_ONCE = 200_000;

/** Verifies what is stored. Throws OrgtrailError `usage` if there is nothing to verify. */
export const verifyDatabase = async (
  pool: Pool,
  { anchors, policy, evidence, hasColumns = false }: VerifyDatabaseOptions,
): Promise<Report> => {
  const stored = await readStored(pool);
  if (stored === undefined) {
    throw new OrgtrailError('usage', 'no checkpoint is signed yet', { hint: 'docs/evidence.md says how to begin' });
  }
  const store = createEvidenceStore(pool, 'verify', 0);
  const copyEvents = async (until: number, take: Parameters<typeof store.copyEvents>[2]) => {
    for (let after = 0; after < until; after += POSITIONS_AT_ONCE)
      await store.copyEvents(after, Math.min(until, after + POSITIONS_AT_ONCE), take);
  };
  const compareColumns = hasColumns ? (report: Report, until: number) => verifyColumns(pool, report, until) : undefined;
  const options = { anchors, copyEvents, compareColumns };
  if (policy !== undefined) return await verifyStored(stored, { ...options, policy: readPolicy(policy) });
  const { events, journal } = stored.origins;
  const keys = publicKeysOf(evidence);
  const own = keys.flatMap((key) => [events, journal].map((origin) => keyOfLog(origin, key)));
  const report = await verifyStored(stored, {
    ...options,
    policy: policyOf(own.length > 0 ? own : keysOfJournal(stored.reader)),
  });
  if (own.length === 0) report.notClaimed.push('whose keys these are: those that the database names are believed');
  return report;
};

/** Reads what --policy names. Throws OrgtrailError `usage`. */
export const readPolicy = (text: Buffer): Policy => {
  try {
    return parsePolicy(text);
  } catch (error) {
    throw new OrgtrailError('usage', `--policy: ${reasonOf(error)}`);
  }
};

const policyOf = (logs: readonly VerifierKey[]): Policy => ({
  logs,
  witnesses: [],
  quorum: { needed: 0, members: [] },
});

/** Of the statements that say something of keys; what is no key is for the verification to find. */
const keysOfJournal = (reader: BundleReader): VerifierKey[] => {
  const texts = readJournal(reader.read(bundleFiles.journalEntries) ?? Buffer.alloc(0));
  const ofKeys = texts.filter((text) => /^\{"type":"(?:genesis|fork|key)"/.test(text));
  return everyKey(keyHistory(ofKeys)).flatMap((vkey) => {
    try {
      return [parseVerifierKey(vkey)];
    } catch {
      return [];
    }
  });
};
