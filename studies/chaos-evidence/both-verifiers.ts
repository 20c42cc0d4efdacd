import { execFile as execFileWithCallback } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { runOrgtrail } from '../../test/support/process/orgtrail-process.ts';
import type { EvidenceWorld } from './evidence-world.ts';

const execFile = promisify(execFileWithCallback);

/**
 * Verifies the database, exports a bundle, and has it verified by both verifiers, all held against checkpoints that were kept. Returns what
 * those say that do not find that it holds.
 */
export const bothVerifiers = async (
  { operator, folder }: Pick<EvidenceWorld, 'operator' | 'folder'>,
  kept: readonly string[],
): Promise<readonly string[]> => {
  const anchors = kept.flatMap((file) => ['--anchor', file]);
  const bundle = join(folder, 'bundle');
  const said: string[] = [];
  for (const args of [
    ['verify', ...anchors],
    ['export', bundle],
    ['verify', bundle, ...anchors],
  ]) {
    const { code, stdout, stderr } = await runOrgtrail(['evidence', ...args], operator);
    if (code !== 0) said.push(`evidence ${args[0]} ended with ${code}: ${stdout.slice(-2_000)}${stderr.slice(-2_000)}`);
  }
  const python = execFile('python3', ['-B', join(bundle, 'verify.py'), ...anchors]);
  await python.catch((error: unknown) => said.push(`verify.py: ${String(error).slice(-2_000)}`));
  return said;
};
