import { parentPort, workerData } from 'node:worker_threads';
import { startLoad } from './reader-loads.ts';

/** The readers of one load in a thread of their own: what they cost does not delay the measurement. */
const load = startLoad(workerData.url, { ...workerData, path: (reader: number) => workerData.paths[reader] });
parentPort?.on('message', () => {
  load.stop();
  parentPort?.postMessage(load.counts());
  parentPort?.close();
});
