import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { OrgtrailError } from '../../../base/errors.ts';
import { MemoryFiles, writeSearchBundle, writeZip } from '../../../search/bundle/write-search-bundle.ts';
import { faultsInWords, readSearch, type SearchReading, searchFields } from '../../../search/query/search.ts';
import { resolveNames } from '../../../search/run-search.ts';
import type { ExportPiece } from '../../../search/search-source.ts';
import { goneSignal, httpError, unknownIn } from '../../failure.ts';
import { sendPieces } from '../../search.routes.ts';
import { hidden } from '../page.ts';
import { originOf } from './events-form.ts';
import type { ExplorerOptions } from './routes.ts';

/** In memory until sent, in each of two places for exports: older events are left out, and the bundle says so. */
const MAX_EVENTS = 10_000;
const MAX_EVENT_BYTES = 16_777_216;
/** Proofs of that many events take 14 MB in a log of 10 million events, 17 MB in one of a billion. */
const MAX_BYTES = 37_748_736;

export interface BundleOptions extends ExplorerOptions {
  readonly version: string;
  readonly logger: Logger;
}

type Query = Readonly<Record<string, unknown>>;

/** An archive of a search with its proofs, verified before its first byte is sent. */
export const bundleRoute = (pages: FastifyInstance, options: BundleOptions): void => {
  pages.get<{ Querystring: Query }>(
    '/events/bundle',
    { schema: hidden, config: { trail: 'export' } },
    async (request, reply) => {
      const nowMs = Date.now();
      const unknown = unknownIn(request.query, searchFields);
      if (unknown.length > 0) throw httpError(400, unknown.join('; '));
      const reading = await resolveNames(options.search, readSearch(request.query, nowMs));
      if (reading.faults.length > 0) throw httpError(400, faultsInWords(reading.faults));
      await sendBundle(request, reply, options, reading, nowMs);
    },
  );
};

const sendBundle = async (
  request: FastifyRequest,
  reply: FastifyReply,
  options: BundleOptions,
  reading: SearchReading,
  nowMs: number,
): Promise<void> => {
  const { streams } = options;
  const gone = goneSignal(reply);
  const place = await streams.enter('export', gone);
  try {
    const files = new MemoryFiles(MAX_BYTES);
    const { events } = await write(files, request, options, reading, nowMs, gone);
    const name = `orgtrail-search-${new Date(nowMs).toISOString().slice(0, 19).replaceAll(':', '')}Z`;
    await sendPieces(request, reply, 'application/zip', archive(files, name, nowMs, events), {
      disposition: `attachment; filename="${name}.zip"`,
      isPlain: true,
      place,
    });
  } finally {
    place.leave();
  }
};

const write = async (
  files: MemoryFiles,
  request: FastifyRequest,
  { shownEvidence, search: source, version, logger }: BundleOptions,
  reading: SearchReading,
  nowMs: number,
  signal: AbortSignal,
) => {
  const askedBy = { by: 'console', name: request.identity?.who ?? null } as const;
  if (shownEvidence === undefined) throw httpError(404, 'There is no evidence in this database.');
  const { writeBundle } = shownEvidence;
  try {
    const limits = { maxEvents: MAX_EVENTS, maxEventBytes: MAX_EVENT_BYTES };
    const origin = originOf(request.protocol, request.host);
    const parts = { writeBundle, source, reading, askedBy, version, origin, nowMs, signal, ...limits };
    return await writeSearchBundle(files, parts, () => files.reader());
  } catch (error) {
    if (!(error instanceof OrgtrailError)) throw error;
    if (error.code === 'usage') throw httpError(409, `There is no bundle: ${error.message}.`);
    if (error.code !== 'evidence_fails') throw error;
    logger.error({ requestId: request.id, reason: error.message }, 'an event is not the one that was signed');
    throw httpError(409, `The evidence does not hold: ${error.message}.`);
  }
};

/** Events are counted with the last piece. */
async function* archive(
  { files }: MemoryFiles,
  folder: string,
  nowMs: number,
  events: number,
): AsyncGenerator<ExportPiece, void, void> {
  const entries = [...files].map(([name, pieces]) => ({ name: `${folder}/${name}`, pieces }));
  for await (const lines of writeZip(entries, nowMs)) yield { lines };
  yield { lines: Buffer.alloc(0), events };
}
