import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { OrgtrailError } from '../../../base/errors.ts';
import type { StreamLimits } from '../../../base/limits.ts';
import type { EventProof } from '../../../evidence/export/prove.sql.ts';
import type { ShownEvidence } from '../../../evidence/shown-evidence.sql.ts';
import type { SearchSource } from '../../../search/search-source.ts';
import { startStreaming } from '../../access-trail.ts';
import { goneSignal, httpError, inPlace } from '../../failure.ts';
import { type Frame, hidden, sendPage } from '../page.ts';
import { EVIDENCE_PATH, type EvidenceView, evidenceBody, noEvidenceBody } from './page.ts';

const REFRESH_SECONDS = 30;

/** `evidence` is undefined for a server without a database of one. */
export const evidencePages = (pages: FastifyInstance, frame: Frame, evidence: ShownEvidence | undefined): void => {
  pages.get(EVIDENCE_PATH, { schema: hidden }, async (request, reply) => {
    const view = evidence && (await readView(evidence));
    const body = view === undefined ? noEvidenceBody(evidence?.isConfigured ?? false) : evidenceBody(view);
    const refresh = view === undefined ? {} : { refreshSeconds: REFRESH_SECONDS };
    return sendPage(request, reply, frame, { title: 'Evidence', current: EVIDENCE_PATH, body, ...refresh });
  });
  pages.get<{ Params: { log: string } }>(
    `${EVIDENCE_PATH}/:log/checkpoint`,
    { schema: hidden },
    async (request, reply) => {
      const checkpoint = (await evidence?.checkpoints())?.find(({ log }) => log === request.params.log);
      if (checkpoint === undefined) throw httpError(404, 'There is no signed checkpoint of such a log.');
      const { log, generation, size, note } = checkpoint;
      return sendText(reply, `${log}-${generation}-${size}.checkpoint`, note);
    },
  );
  pages.get<{ Params: { log: string } }>(`${EVIDENCE_PATH}/:log/key`, { schema: hidden }, async (request, reply) => {
    const { log } = request.params;
    const newest = (await evidence?.logs())?.find((one) => one.log === log);
    const journal = newest && (await evidence?.journal(newest.generation));
    const key = journal?.vkeys.find((vkey) => vkey.startsWith(`${newest?.origin}+`));
    if (key === undefined) throw httpError(404, 'There is no key of such a log.');
    return sendText(reply, `${log}-${newest?.generation}.vkey`, `${key}\n`);
  });
};

const readView = async (evidence: ShownEvidence): Promise<EvidenceView | undefined> => {
  const status = await evidence.status();
  if (status === undefined) return undefined;
  const { generation } = status;
  const [logs, journal, checkpoints, statements] = await Promise.all([
    evidence.logs(),
    evidence.journal(generation),
    evidence.checkpoints(),
    evidence.statements(generation),
  ]);
  return { status, logs, journal, checkpoints, statements, isConfigured: evidence.isConfigured, nowMs: Date.now() };
};

/** A type that no browser renames or shows: bytes must stay as they are. */
const sendText = (reply: FastifyReply, name: string, text: string): FastifyReply =>
  sendFile(reply, name, 'application/octet-stream', text);

const formats = {
  json: { type: 'application/json; charset=utf-8', of: ({ json }: EventProof) => json },
  // As what no browser gives another ending.
  'tlog-proof': { type: 'application/octet-stream', of: ({ tlogProof }: EventProof) => tlogProof },
} as const;

/** The two files that `orgtrail evidence verify` takes, for those who may read the event; noted as an export. */
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
  pages.get<{ Params: { position: string; format: string } }>(
    '/events/:position/proof/:format',
    { schema: hidden, config: { trail: 'export' } },
    async (request, reply) => {
      const { position, format } = request.params;
      const form = format === 'json' || format === 'tlog-proof' ? formats[format] : undefined;
      if (form === undefined || !/^[1-9]\d{0,14}$/.test(position)) throw httpError(404, 'There is no such proof.');
      if (evidence === undefined) throw httpError(404, 'There is no evidence in this database.');
      const proof = await inPlace(streams, reply, async (lend) => {
        await lend(await search.bytesOf({ position: Number(position) }));
        return await evidence.prove(Number(position), goneSignal(reply));
      }).catch((error: unknown) => explain(error, request, logger));
      if (proof === undefined) throw httpError(409, mayNotRead);
      startStreaming(request, 1);
      return sendFile(reply, `${position}.${format}`, form.type, form.of(proof));
    },
  );
};

const mayNotRead = 'The account of the database may not read the log of evidence: it needs the role orgtrail_evidence.';

const explain = (error: unknown, { id: requestId }: FastifyRequest, logger: Logger): never => {
  if (!(error instanceof OrgtrailError)) throw error;
  if (error.code === 'usage') throw httpError(409, `There is no proof: ${error.message}.`);
  if (error.code !== 'evidence_fails') throw error;
  logger.error({ requestId, reason: error.message }, 'an event is not the one that was signed');
  throw httpError(409, `The evidence does not hold: ${error.message}.`);
};

const sendFile = (reply: FastifyReply, name: string, type: string, text: string): FastifyReply =>
  reply
    .header('content-type', type)
    .header('content-disposition', `attachment; filename="${name}"`)
    .header('cache-control', 'no-store')
    .send(Buffer.from(text));
