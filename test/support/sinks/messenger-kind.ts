import { foundEvents } from './found-events.ts';
import { type Messenger, messengerSettings, startMessenger } from './http/people-receivers.ts';
import { isPoison, type ReceiverKind } from './receivers.ts';
import { type OverHttp, overHttp, receiverOver } from './receivers-over-http.ts';

/** The receiver of a kind that writes messages to people: of each finding it has the key. */
export const messengerKind = (messenger: Messenger): ReceiverKind<OverHttp> => ({
  ...overHttp,
  start: async ({ refusesPoison }) => {
    const http = await startMessenger(messenger, { refuses: refusesPoison ? isPoison : undefined });
    const { url: _, ...settings } = { url: '', ...messengerSettings(messenger, http.url) };
    const receiver = receiverOver(http, settings, () => http.breaches);
    const { url, ...rest } = receiver.settings as Readonly<Record<string, unknown>>;
    return {
      ...receiver,
      settings: messenger === 'pagerduty' ? { ...rest, url } : rest,
      received: async () => http.keys().map((key) => ({ key })),
    };
  },
  events: foundEvents,
  repeats: 'kept',
});
