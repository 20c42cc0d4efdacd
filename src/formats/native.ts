import { type FeedEvent, type Format, isOfAccount, jsonFacts, jsonLines, type LineFacts } from './format.ts';

const quoted = (text: string | null): string => (text === null ? 'null' : JSON.stringify(text));

/** Only for logs of accounts: lines of organizations never change. */
const accountParts = (event: FeedEvent): string =>
  isOfAccount(event)
    ? `"account_id":${quoted(event.accountId)},"account_name":${quoted(event.accountName)},` +
      `"zone_id":${quoted(event.zoneId)},"zone_name":${quoted(event.zoneName)},`
    : '';

/**
 * The entry's text in an envelope, to the byte and unread. Line breaks, which are between tokens, become spaces; then `raw_text` has
 * the exact text, too.
 */
export const formatNative = (event: FeedEvent): string => {
  const { rawText, defects } = event;
  const hasBreak = rawText.includes('\n') || rawText.includes('\r');
  return (
    `{"position":${event.position},"feed_id":${quoted(event.feedId)},` +
    `"source_kind":${quoted(event.sourceKind)},"source_id":${quoted(event.sourceId)},` +
    `"organization_id":${quoted(event.organizationId)},"organization_name":${quoted(event.organizationName)},` +
    `"id":${quoted(event.id)},"action_time":${quoted(event.actionTime)},"received_at":${quoted(event.receivedAt)},` +
    `"defects":${defects === null ? 'null' : JSON.stringify(defects)},${accountParts(event)}` +
    (hasBreak ? `"raw_text":${JSON.stringify(rawText)},"raw":${rawText.replace(/[\r\n]/g, ' ')}}` : `"raw":${rawText}}`)
  );
};

const readLine = (line: string): LineFacts => {
  const { position, id, source_kind, source_id, raw_text } = JSON.parse(line);
  // No string before it has these bytes: a quotation mark in a string has a backslash.
  const rawText = typeof raw_text === 'string' ? raw_text : line.slice(line.indexOf(',"raw":') + 7, -1);
  return { ...jsonFacts(position, id), source: `${source_kind} ${source_id}`, rawText };
};

export const native: Format = { ...jsonLines, format: formatNative, readLine };
