import { startBulkReceiver } from '../http/http-receivers.ts';
import { basicAuthorization, bulkIndex, credentials } from '../http/http-sinks.ts';
import { isPoison, type ReceiverKind } from '../receivers.ts';
import { type OverHttp, overHttp, receiverOver } from '../receivers-over-http.ts';

const trouble = { status: 400, type: 'document_parsing_exception', reason: 'failed to parse' };

export const receiver: ReceiverKind<OverHttp> = {
  ...overHttp,
  start: async ({ refusesPoison }) => {
    const itemTrouble = (text: string) => (refusesPoison && isPoison(text) ? trouble : undefined);
    const http = await startBulkReceiver({ index: bulkIndex, authorization: basicAuthorization, itemTrouble });
    const { username, password } = credentials;
    const breaches = () => http.contradictions.map(({ key }) => `${key} came with two texts`);
    return receiverOver(http, { type: 'elasticsearch', index: bulkIndex, username, password }, breaches);
  },
  // A document that is there already is not created again.
  repeats: 'none',
};
