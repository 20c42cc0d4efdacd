import { Command } from 'commander';
import { OrgtrailError } from '../../errors.ts';
import { createEvidenceStore } from '../../evidence/builder/evidence-store.sql.ts';
import { vkeysOf } from '../../evidence/builder/sign-log.ts';
import { publicKeyOfFile } from '../../evidence/keys/key-file.ts';
import { readVkeys } from '../../evidence/stored/journal-keys.sql.ts';
import type { CliContext } from '../cli-context.ts';
import { withDatabase } from '../with-database.ts';

const help = `
The verifier keys of both logs, as policies of c2sp.org/tlog-policy have them: those of ORGTRAIL_EVIDENCE_KEY_FILE, or, without that
setting, those that the journal in the database names last. Give them to auditors on a way of their own: a key that comes from the
database proves nothing against its owner.

Examples:
  $ orgtrail evidence key`;

export const keyCommand = (context: CliContext): Command =>
  new Command('key')
    .description('Print the public keys of the logs')
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(async ({ json }: { json?: boolean }) => {
      const { own, stated } = await withDatabase(context, async (pool, { config }) => {
        const logs = await createEvidenceStore(pool, 'key', 0).readLogs();
        if (logs === undefined) {
          throw new OrgtrailError('usage', 'there is no log yet', { hint: 'docs/evidence.md says how to begin' });
        }
        const keyFile = config.evidence?.keyFile;
        const publicKey = keyFile === undefined ? undefined : publicKeyOfFile(keyFile);
        return {
          own: publicKey && vkeysOf([logs.events.origin, logs.journal.origin], { publicKey }),
          stated: await readVkeys(pool, logs.generation),
        };
      });
      const isStated = own === undefined || stated.length === 0 || own.every((vkey) => stated.includes(vkey));
      if (json === true) {
        const shown = { vkeys: own ?? stated, from: own === undefined ? 'journal' : 'key file', stated };
        context.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
      } else {
        context.stdout.write((own ?? stated).map((vkey) => `${vkey}\n`).join(''));
      }
      if (!isStated) context.stderr.write('the journal names another key: with this one, nothing is signed\n');
    });
