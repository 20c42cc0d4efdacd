import { startHecReceiver } from '../http/http-receivers.ts';
import { credentials } from '../http/http-sinks.ts';
import { isPoison, type ReceiverKind } from '../receivers.ts';
import { type OverHttp, overHttp, receiverOver } from '../receivers-over-http.ts';

const token = credentials.hecToken;

export const receiver: ReceiverKind<OverHttp> = {
  ...overHttp,
  start: async ({ refusesPoison }) => {
    const http = await startHecReceiver({ token, ...(refusesPoison && { invalid: isPoison }) });
    return receiverOver(http, { type: 'splunk_hec', token });
  },
  repeats: 'kept',
};
