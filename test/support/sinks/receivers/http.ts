import { startPlainReceiver } from '../http/plain-receiver.ts';
import { isPoison, type ReceiverKind } from '../receivers.ts';
import { type OverHttp, overHttp, receiverOver } from '../receivers-over-http.ts';

const headers = { 'x-api-key': 'key-of-the-receiver', 'X-Team': 'security operations' };

export const receiver: ReceiverKind<OverHttp> = {
  ...overHttp,
  start: async ({ refusesPoison }) => {
    const http = await startPlainReceiver({ body: 'ndjson', refuses: refusesPoison ? isPoison : undefined });
    const settings = { type: 'http', url: `${http.url}/audit?code=query-credential`, headers };
    const breaches = () =>
      http.requests.flatMap(({ path, headers: given }) => {
        const isRight =
          path === '/audit?code=query-credential' &&
          given['x-api-key'] === headers['x-api-key'] &&
          given['x-team'] === headers['X-Team'];
        return isRight ? [] : [`${path} came with ${Object.keys(given).join(', ')}`];
      });
    return { ...receiverOver(http, settings, breaches), received: async () => http.events() };
  },
  repeats: 'kept',
};
