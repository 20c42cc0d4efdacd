import { Command, Option } from 'commander';
import { publicKeysOf } from '../../../app/evidence/start-evidence.ts';
import { OrgtrailError } from '../../../errors.ts';
import { createEvidenceStore } from '../../../evidence/builder/evidence-store.sql.ts';
import { vkeysOf } from '../../../evidence/builder/sign-log.ts';
import { type KeyOrder, keysInForce } from '../../../evidence/growth/keys-in-force.ts';
import { parseDurationMs } from '../../../time/duration.ts';
import type { CliContext } from '../../cli-context.ts';
import { withDatabase } from '../../with-database.ts';
import { type RotateOptions, rotateKey } from './rotate-key.ts';

const help = `
The verifier keys of both logs, as policies of c2sp.org/tlog-policy have them: those of ORGTRAIL_EVIDENCE_KEY_FILE and
ORGTRAIL_EVIDENCE_NEXT_KEY_FILE that sign, or, without these settings, those that the journal in the database names. Give them to auditors on
a way of their own: a key that comes from the database proves nothing against its owner.

With --rotate, another key: a signed statement says which, why, and from when on. The command only orders it, and needs no private key: the
process that builds states it, as soon as it has the new key. So first give that process the new key beside the old one
(ORGTRAIL_EVIDENCE_NEXT_KEY_FILE), then order it. Reasons:
  rotation     both keys sign for a week (--overlap), then the new one alone
  lost         the new key signs alone, from the last checkpoint on that is known or kept at an anchor
  compromised  the same, and the journal says that the old key was stolen
Needs an account that owns the schema.

Examples:
  $ orgtrail evidence key
  $ orgtrail evidence key --rotate --reason rotation --by 'J. Doe' --new-key /run/secrets/evidence-key-2.pem
  $ orgtrail evidence key --rotate --reason lost --by 'J. Doe'`;

type Options = Partial<RotateOptions> & { readonly rotate?: boolean; readonly json?: boolean };

export const keyCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('key')
    .description('Print the public keys of the logs, or begin to sign with another key')
    .option('--rotate', 'order another key; needs --reason and --by')
    .addOption(new Option('--reason <reason>', 'why').choices(['rotation', 'lost', 'compromised']))
    .option('--by <name>', 'who orders it, for the journal')
    .option('--new-key <file>', 'the new key; without it ORGTRAIL_EVIDENCE_NEXT_KEY_FILE. It is made if there is none')
    .addOption(new Option('--overlap <duration>', 'how long both keys sign, after a rotation').argParser(overlapOf))
    .option('--no-wait', 'do not wait until it is stated and signed')
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(async ({ rotate, reason, by, newKey, overlap, wait = true, json }: Options) => {
      if (rotate === true) {
        if (reason === undefined || by === undefined)
          throw new OrgtrailError('usage', '--rotate needs --reason and --by: both are kept in the journal');
        return await rotateKey(context, report, { reason, by, newKey, overlap, wait, json });
      }
      if (reason !== undefined || by !== undefined || newKey !== undefined || overlap !== undefined)
        throw new OrgtrailError('usage', '--reason, --by, --new-key and --overlap are for --rotate');
      await printKeys(context, json === true);
    });

const MAX_OVERLAP_MS = 366 * 86_400_000;

const overlapOf = (text: string): number => {
  const overlapMs = parseDurationMs(text);
  if (overlapMs !== undefined && overlapMs > 0 && overlapMs <= MAX_OVERLAP_MS) return overlapMs;
  throw new OrgtrailError('usage', `--overlap ${JSON.stringify(text.slice(0, 80))} is not a duration up to 366d`);
};

const printKeys = async (context: CliContext, isJson: boolean): Promise<void> => {
  const found = await withDatabase(context, async (pool, { config }) => {
    const store = createEvidenceStore(pool, 'key', 0);
    const logs = await store.readLogs();
    if (logs === undefined) {
      throw new OrgtrailError('usage', 'there is no log yet', { hint: 'docs/evidence.md says how to begin' });
    }
    const { history, order } = await store.readKeys(logs.generation);
    const origins = [logs.events.origin, logs.journal.origin];
    const own = publicKeysOf(config.evidence).flatMap((publicKey) => vkeysOf(origins, { publicKey }));
    const { vkeys: stated, until } = keysInForce(history, logs.at);
    return { own, stated, until, order };
  });
  const { own, stated, until, order } = found;
  const signing = own.filter((vkey) => stated.includes(vkey));
  const vkeys = own.length === 0 ? stated : signing.length === 0 ? own : signing;
  if (isJson) {
    const from = own.length === 0 ? 'journal' : 'key file';
    const ordered = order && { reason: order.reason, by: order.by, vkeys: order.newVkeys };
    const shown = { vkeys, from, stated, old_signs_until: until ?? null, ordered: ordered ?? null };
    context.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
  } else context.stdout.write(vkeys.map((vkey) => `${vkey}\n`).join(''));
  context.stderr.write(
    warningsOf(found, signing)
      .map((line) => `${line}\n`)
      .join(''),
  );
};

interface FoundKeys {
  readonly own: readonly string[];
  readonly stated: readonly string[];
  readonly until: string | undefined;
  readonly order: KeyOrder | undefined;
}

const warningsOf = ({ own, stated, until, order }: FoundKeys, signing: readonly string[]): string[] => {
  const isBegun = own.length > 0 && stated.length > 0;
  const missing = stated.filter((vkey) => !own.includes(vkey));
  return [
    ...(isBegun && signing.length === 0 ? ['the journal names another key: with this one, nothing is signed'] : []),
    ...(isBegun && signing.length > 0 && missing.length > 0
      ? [`these sign as well, and are not in the settings here: ${missing.join(' ')}`]
      : []),
    ...(until === undefined ? [] : [`two keys sign until ${until}`]),
    ...(order === undefined ? [] : [`another key is ordered (${order.reason}), and no process has stated it yet`]),
  ];
};
