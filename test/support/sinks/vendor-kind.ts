import { startVendorReceiver, type Vendor } from './http/vendor-receivers.ts';
import { isPoison, type ReceiverKind } from './receivers.ts';
import { type OverHttp, overHttp, receiverOver } from './receivers-over-http.ts';

/** Entries of the suite that every kind must pass are larger than a vendor's limits: those are tested by themselves. */
const noLimit = { max_request_bytes: 100_000_000 };

export const vendorKind = (vendor: Vendor): ReceiverKind<OverHttp> => ({
  ...overHttp,
  start: async ({ refusesPoison }) => {
    const http = await startVendorReceiver(vendor, { limits: false, refuses: refusesPoison ? isPoison : undefined });
    const settings = { ...http.settings, ...(vendor !== 'axiom' && noLimit) };
    return { ...receiverOver(http, settings), received: async () => http.events() };
  },
  // Azure does not judge events.
  canRefuse: vendor !== 'sentinel',
  repeats: 'kept',
});
