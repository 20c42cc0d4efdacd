import { outgoingEvents } from '../../test/support/sinks/syslog-events.ts';
import { syslogSink } from '../../test/support/sinks/syslog-sink.ts';

// Run by slow-link.sh: prints the outcomes of 4 deliveries; none of them can have arrived whole.
const sink = syslogSink({ url: `tcp://10.9.0.2:${process.argv[2]}`, timeout: '10s' });
for (let n = 0; n < 4; n += 1) {
  const outcome = await sink.deliver({ id: 'one', events: outgoingEvents(200) }, new AbortController().signal);
  console.log(outcome.kind);
}
