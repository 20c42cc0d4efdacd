import { execFile as execFileWithCallback } from 'node:child_process';
import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const execFile = promisify(execFileWithCallback);
const installer = fileURLToPath(new URL('../../../scripts/install/debian-peers.sh', import.meta.url));

/** Sees to it that programs are here, from Debian if need be. The reason where they are not. */
export const installDebianPeers = async (name: string, isHere: () => boolean): Promise<string | undefined> => {
  if (isHere()) return undefined;
  if (userInfo().uid !== 0) return `${name} is not installed, and only root may install it`;
  if (!existsSync('/usr/bin/apt-get')) return `${name} is not installed, and there is no apt-get`;
  const failed = await execFile('bash', [installer], { timeout: 100_000 }).then(
    () => undefined,
    (error: unknown) => String(error),
  );
  return isHere() ? undefined : `${name} could not be installed: ${failed}`;
};
