import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { publicKeysOf } from '../../app/evidence/start-evidence.ts';
import { OrgtrailError } from '../../errors.ts';
import { type EventProof, proveEvents } from '../../evidence/export/prove-events.sql.ts';
import type { CliContext } from '../cli-context.ts';
import { withDatabase } from '../with-database.ts';
import { showWork } from './work-line.ts';

const help = `
Writes POSITION.json (the event, its leaf, the keys) and POSITION.tlog-proof (c2sp.org/tlog-proof: where it stands in the log, and the
signed checkpoint) for each event, of the last signed checkpoint. Nothing of other events is in them. Files that are there stay. Exit
code 5 if an event is not the one that was signed.

Examples:
  $ orgtrail evidence prove 4711
  $ orgtrail evidence prove 4711 4712 4713 --out proofs --json
  $ orgtrail evidence prove --id 019c4f65-e760-7d8c-9f6f-6b58aa3aff50
  $ orgtrail evidence verify 4711.tlog-proof`;

interface ProveCommandOptions {
  readonly id: readonly string[];
  readonly out: string;
  readonly json?: boolean;
}

export const proveCommand = (context: CliContext): Command =>
  new Command('prove')
    .description('Write the proof of single events')
    .argument('[position...]', 'positions of events in the feed')
    .option(
      '--id <id>',
      'all events with this id; may be repeated',
      (id, before: readonly string[]) => [...before, id],
      [],
    )
    .option('--out <dir>', 'a folder that exists', '.')
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(async (texts: readonly string[], { id: ids, out, json }: ProveCommandOptions) => {
      const positions = texts.map(positionOf);
      if (positions.length + ids.length === 0) throw new OrgtrailError('usage', 'name a position, or an event by --id');
      const work = showWork(context);
      const written: string[] = [];
      const logs = await withDatabase(context, async (pool, { config }) => {
        const onProven = (events: number, all: number) => work.at('proving', events, 'events', all);
        const options = { positions, ids, publicKeys: publicKeysOf(config.evidence), signal: context.signal, onProven };
        return await proveEvents(pool, options, (proof) => written.push(...write(out, proof)));
      }).finally(() => work.finish());
      const { origin, size } = logs.events;
      const shown = { log: origin, size, unanchored: true, files: written };
      context.stdout.write(json === true ? `${JSON.stringify(shown, null, 2)}\n` : `${written.join('\n')}\n`);
    });

const positionOf = (text: string): number => {
  const position = Number(text);
  if (/^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(position)) return position;
  throw new OrgtrailError('usage', `${JSON.stringify(text.slice(0, 80))} is not a position`);
};

const write = (out: string, { position, json, tlogProof }: EventProof): string[] => {
  const files = [join(out, `${position}.json`), join(out, `${position}.tlog-proof`)] as const;
  try {
    writeFileSync(files[0], json, { flag: 'wx', mode: 0o600 });
    writeFileSync(files[1], tlogProof, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new OrgtrailError('usage', `${files[0]} or ${files[1]} cannot be written (${code})`, {
      hint:
        code === 'EEXIST'
          ? 'files that are there stay: name another folder by --out'
          : '--out names a folder that exists',
    });
  }
  return [...files];
};
