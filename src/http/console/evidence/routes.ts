import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ShownEvidence } from '../../../evidence/shown-evidence.sql.ts';
import { httpError } from '../../failure.ts';
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
  pages.get(`${EVIDENCE_PATH}/checkpoint`, { schema: hidden }, async (_, reply) => {
    const checkpoint = await evidence?.checkpoint();
    if (checkpoint === undefined) throw httpError(404, 'There is no signed checkpoint.');
    const { number, size, note } = checkpoint;
    return sendFile(reply, `log-${number}-${size}.checkpoint`, note);
  });
  pages.get(`${EVIDENCE_PATH}/key`, { schema: hidden }, async (_, reply) => {
    const vkey = (await evidence?.log())?.vkey;
    if (vkey === undefined) throw httpError(404, 'There is no key of a log.');
    return sendFile(reply, 'log.vkey', `${vkey}\n`);
  });
};

const readView = async (evidence: ShownEvidence): Promise<EvidenceView | undefined> => {
  const status = await evidence.status();
  if (status === undefined) return undefined;
  const [log, checkpoint, statements] = await Promise.all([
    evidence.log(),
    evidence.checkpoint(),
    evidence.statements(),
  ]);
  return { status, log, checkpoint, statements, isConfigured: evidence.isConfigured, nowMs: Date.now() };
};

/** A type that no browser renames or shows: bytes must stay as they are. */
const sendFile = (reply: FastifyReply, name: string, text: string): FastifyReply =>
  reply
    .header('content-type', 'application/octet-stream')
    .header('content-disposition', `attachment; filename="${name}"`)
    .header('cache-control', 'no-store')
    .send(Buffer.from(text));
