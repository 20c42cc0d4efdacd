import { collectDefaultMetrics, Registry } from 'prom-client';
import type { EvidenceStatus } from '../../evidence/stored/evidence-status.sql.ts';
import { createBuildInfo } from '../metrics.ts';
import { createEvidenceGauges, showEvidence } from './evidence-gauges.ts';

interface BuilderMetrics {
  /** The exposition text. Rejects if the database does not answer. */
  scrape(evidence: () => Promise<EvidenceStatus | undefined>): Promise<string>;
}

/** The metrics of a process that builds evidence alone: the same names as those of the daemon, and no others. */
export const createBuilderMetrics = (version: string): BuilderMetrics => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  createBuildInfo(version, [registry]);
  const gauges = createEvidenceGauges([registry]);
  return {
    scrape: async (evidence) => {
      showEvidence(gauges, await evidence(), true);
      return await registry.metrics();
    },
  };
};
