import { parentPort } from 'node:worker_threads';
import { formatRows } from './format-rows.ts';
import type { FormatRequest, FormatResponse } from './format-threads.ts';

// One thread of FormatThreads: it formats what it is sent, in turn.
parentPort?.on('message', ({ id, job }: FormatRequest) => {
  const { buffer, byteOffset, length } = job.memory;
  const response: FormatResponse = {
    id,
    part: formatRows({ ...job, memory: Buffer.from(buffer, byteOffset, length) }),
  };
  parentPort?.postMessage(response);
});
