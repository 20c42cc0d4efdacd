import type { Sink } from '../domain/delivery.ts';
import { OrgtrailError } from '../errors.ts';
import { createFileSink } from './file.ts';
import type { SinkSettings } from './settings.ts';

/** The sink that the settings ask for. Opens nothing yet. Throws OrgtrailError `configuration` for what cannot be used. */
export const createSink = (name: string, settings: SinkSettings): Sink => {
  switch (settings.type) {
    case 'file':
      return createFileSink(settings);
    default:
      throw new OrgtrailError('configuration', `ORGTRAIL_SINKS.${name}: ${settings.type} is not built yet`);
  }
};
