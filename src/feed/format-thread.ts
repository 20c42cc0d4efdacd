import { parentPort } from 'node:worker_threads';
import { COLLECT_BYTES, collectGarbage } from '../base/memory.ts';
import { type FormatJob, formatRows } from './format-rows.ts';
import type { FormatRequest, FormatResponse } from './format-threads.ts';

// One thread of FormatThreads: it formats what it is sent, in turn.
parentPort?.on('message', ({ id, job }: FormatRequest) => {
  const { buffer, byteOffset, length } = job.memory;
  parentPort?.postMessage(responseTo(id, { ...job, memory: Buffer.from(buffer, byteOffset, length) }));
  // Its reader may stall for long. Later, when nothing here has the job any more.
  if (length >= COLLECT_BYTES && job.linesStart === 0) setImmediate(collectGarbage);
});

/** Rows that cannot be formatted fail alone: the thread has those of other readers, too. */
const responseTo = (id: number, job: FormatJob): FormatResponse => {
  try {
    return { id, part: formatRows(job) };
  } catch (error) {
    return { id, error };
  }
};
