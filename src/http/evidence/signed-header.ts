import type { ServedStore } from '../../evidence/served/served-evidence.ts';

/** So old may be what the header says: readers that poll do not each ask the database. */
const FRESH_MS = 1_000;
/** After a failure, such as a right that is missing. */
const REST_MS = 30_000;

/** `Orgtrail-Evidence: SIZE ROOT` of the last signed checkpoint of the events; nothing if there is none or it cannot be read. */
export const signedHeader = (
  store: ServedStore | undefined,
  nowMs: () => number = () => performance.now(),
): (() => Promise<Readonly<Record<string, string>>>) => {
  let untilMs = Number.NEGATIVE_INFINITY;
  let header: Promise<Readonly<Record<string, string>>> = Promise.resolve({});
  const read = async (from: ServedStore) => {
    const signed = await from.lastSigned();
    return signed === undefined
      ? ({} as Record<string, string>)
      : { 'orgtrail-evidence': `${signed.size} ${signed.root.toString('base64')}` };
  };
  return () => {
    if (store === undefined) return header;
    if (nowMs() >= untilMs) {
      untilMs = nowMs() + FRESH_MS;
      header = read(store).catch(() => {
        untilMs = nowMs() + REST_MS;
        return {};
      });
    }
    return header;
  };
};
