import type { Sink } from './delivery.ts';
import { createElasticsearchSink } from './elasticsearch/elasticsearch.ts';
import { createFileSink } from './file/file.ts';
import type { SinkSettings } from './settings.ts';
import { createSplunkHecSink } from './splunk-hec/splunk-hec.ts';
import { createSyslogSink } from './syslog/syslog.ts';
import { createWebhookSink } from './webhook/webhook.ts';

/** The sink that the settings ask for. Opens nothing yet. Throws OrgtrailError `configuration` for what cannot be used. */
export const createSink = (settings: SinkSettings): Sink => {
  switch (settings.type) {
    case 'file':
      return createFileSink(settings);
    case 'syslog':
      return createSyslogSink(settings);
    case 'splunk_hec':
      return createSplunkHecSink(settings);
    case 'elasticsearch':
      return createElasticsearchSink(settings);
    case 'webhook':
      return createWebhookSink(settings);
  }
};
