import type { Logger } from 'pino';
import type { ArchiveObserver } from '../../archive/ports.ts';

/** Says what the archive does. */
export const logArchive = (logger: Logger): ArchiveObserver => ({
  written: ({ month, kind, key, events, bytes }) =>
    logger.info({ month, kind, key, events, bytes }, 'wrote an object of the archive, and read it back'),
  proven: ({ month, key, events }) => logger.info({ month, key, events }, 'read an object of the archive back'),
  faulty: ({ month, key }, fault) =>
    logger.error(
      { month, key, fault },
      'an object of the archive is not what was written: its events are written again',
    ),
});
