import { EvidenceFault } from '../evidence-fault.ts';
import { readEventLeaf } from '../leaves/leaf.ts';
import { bytesOfBase64 } from '../notes/base64.ts';
import type { PayloadRecord } from './payload.ts';

/** What stands beside a `.tlog-proof`: an event, its leaf, and the keys that the proof was made under. */
export interface ProvenEvent extends PayloadRecord {
  /** The text of a policy: to be compared with the keys that the reader was given. */
  readonly policy: string;
}

/** `POSITION.json`: leaf and content, and what the leaf says in words. */
export const writeProvenEvent = (event: ProvenEvent): string => `${JSON.stringify(jsonOf(event), null, 2)}\n`;

/** Reads such a file. Throws an EvidenceFault also if its words are not those of the leaf: people read these. */
export const readProvenEvent = (text: string): ProvenEvent => {
  const value = parsed(text);
  const { leaf, raw, policy } = value;
  if (typeof leaf !== 'string' || typeof raw !== 'string' || typeof policy !== 'string')
    throw new EvidenceFault('an event has leaf, raw and policy');
  const event = { leaf: bytesOfBase64(leaf, 'the leaf'), raw: Buffer.from(raw), policy };
  const expected: Readonly<Record<string, unknown>> = jsonOf(event);
  for (const name of new Set([...Object.keys(value), ...Object.keys(expected)])) {
    if (JSON.stringify(value[name]) !== JSON.stringify(expected[name]))
      throw new EvidenceFault(`${name} is not what the leaf says`);
  }
  return event;
};

const jsonOf = ({ leaf, raw, policy }: ProvenEvent) => {
  const said = readEventLeaf(leaf);
  return {
    position: said.position,
    received_at: instantOf(said.receivedAtUs),
    action_time: said.actionTimeUs === undefined ? null : instantOf(said.actionTimeUs),
    source_kind: said.sourceKind,
    source_id: said.sourceId,
    organization_id: said.organizationId ?? null,
    id: said.id,
    defects: said.defects,
    raw_sha256: Buffer.from(said.rawSha256).toString('hex'),
    raw: Buffer.from(raw).toString(),
    leaf: Buffer.from(leaf).toString('base64'),
    policy,
  };
};

const US_PER_SECOND = 1_000_000n;

/** RFC 3339 in UTC, to the microsecond. A number of microseconds for years that it cannot name. */
export const instantOf = (us: bigint): string => {
  const fraction = ((us % US_PER_SECOND) + US_PER_SECOND) % US_PER_SECOND;
  const second = new Date(Number((us - fraction) / 1_000n));
  if (Number.isNaN(second.getTime())) return `${us} microseconds since 1970`;
  return `${second.toISOString().slice(0, -5)}.${String(fraction).padStart(6, '0')}Z`;
};

const parsed = (text: string): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {}
  throw new EvidenceFault('the event is not an object of JSON');
};
