import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ShownEvidence } from '../../../evidence/shown/shown-evidence.ts';
import { hidden } from '../hidden.ts';
import { type Frame, sendPage } from '../page.ts';
import { evidenceBody, noEvidenceBody } from './evidence-page.ts';
import { EVIDENCE_PATH, type EvidenceView } from './evidence-view.ts';

const REFRESH_SECONDS = 30;

interface LogParameters {
  readonly log: string;
}

/** The log of evidence at `/evidence-log`, and what of it is to be kept elsewhere. `evidence` is undefined for a server without a database of one. */
export const evidencePages = (pages: FastifyInstance, frame: Frame, evidence: ShownEvidence | undefined): void => {
  pages.get(EVIDENCE_PATH, { schema: hidden }, async (request, reply) => {
    const view = evidence && (await readView(evidence));
    const body = view === undefined ? noEvidenceBody(evidence?.isConfigured ?? false) : evidenceBody(view);
    const refresh = view === undefined ? {} : { refreshSeconds: REFRESH_SECONDS };
    return sendPage(request, reply, frame, { title: 'Evidence', current: EVIDENCE_PATH, body, ...refresh });
  });
  pages.get<{ Params: LogParameters }>(
    `${EVIDENCE_PATH}/:log/checkpoint`,
    { schema: hidden },
    async (request, reply) => {
      const checkpoint = (await evidence?.checkpoints())?.find(({ log }) => log === request.params.log);
      if (checkpoint === undefined) throw nothing('There is no signed checkpoint of such a log.');
      const { log, generation, size, note } = checkpoint;
      return sendText(reply, `${log}-${generation}-${size}.checkpoint`, note);
    },
  );
  pages.get<{ Params: LogParameters }>(`${EVIDENCE_PATH}/:log/key`, { schema: hidden }, async (request, reply) => {
    const { log } = request.params;
    const newest = (await evidence?.logs())?.find((one) => one.log === log);
    const journal = newest && (await evidence?.journal(newest.generation));
    const key = journal?.vkeys.find((vkey) => vkey.startsWith(`${newest?.origin}+`));
    if (key === undefined) throw nothing('There is no key of such a log.');
    return sendText(reply, `${log}-${newest?.generation}.vkey`, `${key}\n`);
  });
};

const nothing = (reason: string): Error => Object.assign(new Error(reason), { statusCode: 404 });

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

/** Bytes that are to stay as they are: as what no browser renames or shows. */
const sendText = (reply: FastifyReply, name: string, text: string): FastifyReply =>
  reply
    .header('content-type', 'application/octet-stream')
    .header('content-disposition', `attachment; filename="${name}"`)
    .header('cache-control', 'no-store')
    .send(Buffer.from(text));
