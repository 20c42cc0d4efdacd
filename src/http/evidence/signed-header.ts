import type { ServedStore, SignedLog } from '../../evidence/served/served-evidence.ts';

/** So old may be what is said of it: readers that poll do not each ask the database. */
const FRESH_MS = 1_000;
/** After a failure, such as a right that is missing. */
const REST_MS = 30_000;

/** The last signed checkpoint of the events; undefined if there is none or it cannot be read. */
export const recentlySigned = (
  store: ServedStore | undefined,
  nowMs: () => number = () => performance.now(),
): (() => Promise<SignedLog | undefined>) => {
  let untilMs = Number.NEGATIVE_INFINITY;
  let signed: Promise<SignedLog | undefined> = Promise.resolve(undefined);
  return () => {
    if (store === undefined) return signed;
    if (nowMs() >= untilMs) {
      untilMs = nowMs() + FRESH_MS;
      signed = store.lastSigned().catch(() => {
        untilMs = nowMs() + REST_MS;
        return undefined;
      });
    }
    return signed;
  };
};

/** `Orgtrail-Evidence: SIZE ROOT`; nothing without a checkpoint. */
export const signedHeader = (signed: SignedLog | undefined): Readonly<Record<string, string>> =>
  signed === undefined ? {} : { 'orgtrail-evidence': `${signed.size} ${signed.root.toString('base64')}` };
