import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ANALYZE = 'systemd-analyze';
export const hasSystemd = spawnSync(ANALYZE, ['--version']).status === 0;

/** A file of deploy/systemd. */
export const unitFile = (name: string): string =>
  readFileSync(new URL(`../../../deploy/systemd/${name}`, import.meta.url), 'utf8');

/** What a unit, or a drop-in, sets this to. */
export const valuesOf = (text: string, name: string): string[] =>
  [...text.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value);

/** What systemd says of orgtrail.service, and of a drop-in whose comments that are settings are lines, too; empty where nothing is wrong. */
export const faultsOfUnit = (dropIn?: string): string => {
  const folder = mkdtempSync(join(tmpdir(), 'orgtrail-systemd-'));
  try {
    const file = join(folder, 'orgtrail.service');
    // It looks for the program and the page of the documentation, which are elsewhere here.
    const unit = unitFile('orgtrail.service').replace('/usr/bin/node', process.execPath);
    writeFileSync(file, unit.replace(/^Documentation=.*\n/m, ''));
    mkdirSync(`${file}.d`);
    if (dropIn !== undefined) writeFileSync(join(`${file}.d`, 'more.conf'), dropIn.replaceAll(/^#(?=\w+=)/gm, ''));
    const env = { ...process.env, SYSTEMD_UNIT_PATH: `${folder}:` };
    const { status, stdout, stderr } = spawnSync(ANALYZE, ['verify', file], { encoding: 'utf8', env });
    return `${stdout}${stderr}${status === 0 ? '' : `it ended with ${status}`}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
