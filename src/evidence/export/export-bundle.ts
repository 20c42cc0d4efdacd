import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { OrgtrailError } from '../../base/errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type KeyHistory, keyHistory } from '../append/keys-in-force.ts';
import { keyOfLog } from '../builder/signing-keys.ts';
import { BUNDLE_TIME_PATH, bundleFiles, writeBundleTime } from '../bundle/layout.ts';
import { openFolder, verifyFolder } from '../files/folder-reader.ts';
import { FolderWriter, verifierFile } from '../files/folder-writer.ts';
import type { Witness } from '../notes/policy.ts';
import type { Anchor } from '../verify/anchors.ts';
import { faultText, type Report } from '../verify/report.ts';
import { copyAnchors, copyLogs, copyReads, type ExportedAnchor, readKeys } from './copy-logs.sql.ts';
import { type CopiedPart, copyPart, type OneSource } from './copy-part.sql.ts';
import { copyPayload, type ExportedTime } from './copy-payload.sql.ts';
import { writeReadme } from './readme.ts';
import { bundlePolicy, type ExportedLogs, requireLogs, withSnapshot } from './snapshot.sql.ts';

export interface ExportOptions {
  readonly folder: string;
  readonly isPacked: boolean;
  /** Also if what is stored is not what is signed. */
  readonly despiteFaults: boolean;
  readonly source?: OneSource | undefined;
  readonly time?: ExportedTime | undefined;
  /** The bundle must go on from them, and can be compared with them. */
  readonly anchors?: readonly Anchor[] | undefined;
  readonly version: string;
  readonly publicKeys?: readonly Uint8Array[];
  readonly witnesses?: readonly Witness[];
  /** How long to wait for the statement about a month that was dropped a moment ago. */
  readonly waitMs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly observer?: {
    readonly onWritten?: (position: number, size: number) => void;
    readonly onVerified?: (bytes: number) => void;
  };
}

export interface Exported extends Omit<WrittenContent, 'vkeys' | 'keys'> {
  readonly bytes: number;
  readonly files: number;
  readonly report: Report;
}

const WAIT_MS = 30_000;
const LOOK_EVERY_MS = 500;
const SHOWN_FAULTS = 20;

/** Verifies the bundle before it gets its name. Throws OrgtrailError `usage` for nothing to export, `evidence_fails` if it does not hold. */
export const exportBundle = async (pool: Pool, options: ExportOptions): Promise<Exported> => {
  const { folder, despiteFaults, signal, observer } = options;
  const writer = new FolderWriter(folder);
  try {
    const content = await writeContent(pool, writer, options);
    const reader = await openFolder(writer.folder, { signal });
    const onPayload = (bytes: number) => observer?.onVerified?.(bytes);
    const report = await verifyFolder(reader, { signal, anchors: options.anchors ?? [], onPayload });
    if (!report.holds && !despiteFaults) throw doesNotHold(report, content.logs);
    const faults = shownFaults(report);
    const readme = writeReadme({ ...content, ...options, faults, hashes: writer.hashes });
    writer.write(bundleFiles.readme, Buffer.from(readme));
    signal?.throwIfAborted();
    writer.finish();
    const { logs, events, withheld, part, anchored } = content;
    return { logs, events, withheld, part, anchored, bytes: writer.bytes, files: writer.hashes.size, report };
  } finally {
    writer.discard();
  }
};

interface WrittenContent {
  readonly logs: ExportedLogs;
  readonly events: number;
  readonly withheld: number;
  readonly part: CopiedPart | undefined;
  readonly vkeys: readonly string[];
  readonly keys: KeyHistory;
  /** None: the bundle is unanchored. */
  readonly anchored: readonly ExportedAnchor[];
}

const writeContent = async (pool: Pool, writer: FolderWriter, options: ExportOptions): Promise<WrittenContent> => {
  const untilMs = performance.now() + (options.waitMs ?? WAIT_MS);
  for (;;) {
    const content = await withSnapshot(pool, options, async (client, found) => {
      const logs = requireLogs(found);
      if (isToWait(logs) && performance.now() < untilMs) return undefined;
      requireStated(logs, options);
      const { source, time } = options;
      const part = source && (await copyPart(client, logs, { ...options, source }, writer));
      if (part === undefined) await copyLogs(client, logs, writer, options);
      await copyReads(client, logs, writer, options);
      if (time !== undefined) writer.write(BUNDLE_TIME_PATH, Buffer.from(writeBundleTime(time)));
      const { texts, monthKeys } = await readKeys(client, logs);
      const { publicKeys = [], isPacked, signal, observer, witnesses = [] } = options;
      const origins = [logs.events.origin, logs.journal.origin];
      const own = publicKeys.flatMap((publicKey) => origins.map((origin) => keyOfLog(origin, publicKey)));
      const notes = [logs.events.note, logs.journal.note];
      const { text, vkeys, policy } = bundlePolicy(texts, own, { notes, witnesses });
      // A part has not the tiles to compare with every checkpoint.
      const anchored = part === undefined ? await copyAnchors(client, logs, writer, policy) : [];
      writer.write(bundleFiles.policy, Buffer.from(text));
      writer.write(bundleFiles.verifier, readFileSync(verifierFile));
      const { size } = logs.events;
      const onEvent = (position: number) => observer?.onWritten?.(position, size);
      const toCopy = { size, monthKeys, isPacked, source, time, signal, onEvent };
      const copied = await copyPayload(client, writer, toCopy);
      return { logs, ...copied, part, vkeys, keys: keyHistory(texts), anchored };
    });
    if (content !== undefined) return content;
    await setTimeout(LOOK_EVERY_MS, undefined, { signal: options.signal });
  }
};

/** A working builder states a drop within moments. */
const isToWait = ({ unstatedDrops, state }: ExportedLogs): boolean =>
  unstatedDrops > 0 && (state === 'ok' || state === 'building');

const requireStated = ({ unstatedDrops, state }: ExportedLogs, { despiteFaults }: ExportOptions): void => {
  if (unstatedDrops === 0 || despiteFaults) return;
  const months =
    unstatedDrops === 1
      ? 'a month was dropped, and no signed statement says so'
      : `${unstatedDrops} months were dropped, and no signed statement says so`;
  const remedy =
    state === 'ended'
      ? 'the log has ended, and no statement follows; `orgtrail evidence fork` begins the next generation, which states it'
      : 'let the daemon build, then repeat';
  throw new OrgtrailError('evidence_fails', months, { hint: `${remedy}; --despite-faults still writes the bundle` });
};

const doesNotHold = (report: Report, { state }: ExportedLogs): OrgtrailError => {
  const faults = shownFaults(report).map((fault) => `  ${fault}`);
  const message = `what is stored is not what was signed (the log is ${state}):\n${faults.join('\n')}`;
  const hint = 'there is no bundle; --despite-faults still writes it, and says so in its README.txt';
  return new OrgtrailError('evidence_fails', message, { hint });
};

const shownFaults = ({ faults, faultCounts }: Report): string[] => {
  const all = [...faultCounts.values()].reduce((sum, count) => sum + count, 0);
  const shown = faults.slice(0, SHOWN_FAULTS);
  const left = all - shown.reduce((sum, { count }) => sum + count, 0);
  return [...shown.map(faultText), ...(left > 0 ? [`and ${left} more`] : [])];
};
