import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { OrgtrailError } from '../../../errors.ts';
import type { EventProof } from '../../../evidence/export/prove-events.sql.ts';
import type { ShownEvidence } from '../../../evidence/shown/shown-evidence.ts';
import type { StreamLimits } from '../../../limits/stream-limits.ts';
import type { SearchSource } from '../../../search/ports.ts';
import { beginsGiving } from '../../access-trail.ts';
import { goneSignal, inPlace } from '../../gone-signal.ts';
import { hidden } from '../hidden.ts';

interface ProofParameters {
  readonly position: string;
  /** Which of the two files. */
  readonly format: string;
}

const formats = {
  json: { type: 'application/json; charset=utf-8', of: ({ json }: EventProof) => json },
  // As what no browser gives another ending.
  'tlog-proof': { type: 'application/octet-stream', of: ({ tlogProof }: EventProof) => tlogProof },
} as const;

/**
 * `/events/POSITION/proof/json` and `/events/POSITION/proof/tlog-proof`: the two files that `orgtrail evidence verify` takes, named
 * `POSITION.json` and `POSITION.tlog-proof`. For those who may read the event; noted as an export.
 */
export const proofRoutes = (
  pages: FastifyInstance,
  {
    shownEvidence: evidence,
    search,
    streams,
    logger,
  }: {
    readonly shownEvidence?: ShownEvidence | undefined;
    readonly search: SearchSource;
    readonly streams: StreamLimits;
    readonly logger: Logger;
  },
): void => {
  pages.get<{ Params: ProofParameters }>(
    '/events/:position/proof/:format',
    { schema: hidden, config: { trail: 'export' } },
    async (request, reply) => {
      const { position, format } = request.params;
      const form = format === 'json' || format === 'tlog-proof' ? formats[format] : undefined;
      if (form === undefined || !/^[1-9]\d{0,14}$/.test(position)) throw refusal(404, 'There is no such proof.');
      if (evidence === undefined) throw refusal(404, 'There is no evidence in this database.');
      const proof = await inPlace(streams, reply, async (lend) => {
        await lend(await search.bytesOf({ position: Number(position) }));
        return await evidence.prove(Number(position), goneSignal(reply));
      }).catch((error: unknown) => explain(error, request, logger));
      if (proof === undefined) throw refusal(409, mayNotRead);
      beginsGiving(request, 1);
      return sendFile(reply, `${position}.${format}`, form.type, form.of(proof));
    },
  );
};

const mayNotRead = 'The account of the database may not read the log of evidence: it needs the role orgtrail_evidence.';

const refusal = (statusCode: number, reason: string): Error => Object.assign(new Error(reason), { statusCode });

/** What has no proof, and what is not the event that was signed. */
const explain = (error: unknown, { id: requestId }: FastifyRequest, logger: Logger): never => {
  if (!(error instanceof OrgtrailError)) throw error;
  if (error.code === 'usage') throw refusal(409, `There is no proof: ${error.message}.`);
  if (error.code !== 'evidence_fails') throw error;
  logger.error({ requestId, reason: error.message }, 'an event is not the one that was signed');
  throw refusal(409, `The evidence does not hold: ${error.message}.`);
};

const sendFile = (reply: FastifyReply, name: string, type: string, text: string): FastifyReply =>
  reply
    .header('content-type', type)
    .header('content-disposition', `attachment; filename="${name}"`)
    .header('cache-control', 'no-store')
    .send(Buffer.from(text));
