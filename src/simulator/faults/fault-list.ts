import { type DefectName, defectNames } from './entry-defects.ts';
import { type FaultName, faultCatalogue, faultNames } from './fault-catalogue.ts';
import { checkedFaultPatch } from './fault-patch.ts';
import type { FaultPatch } from './fault-plan.ts';

const defaultDefectRate = 0.01;

function isFault(name: string): name is FaultName {
  return (faultNames as string[]).includes(name);
}

function isDefect(name: string): name is DefectName {
  return (defectNames as readonly string[]).includes(name);
}

function probabilityOf(item: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const probability = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(probability <= 1)) throw new RangeError(`"${item}" needs a probability from 0 to 1 behind the equals sign`);
  return probability;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new RangeError(`Not JSON: ${(error as SyntaxError).message}`);
  }
}

/**
 * Reads the faults of a command line: `all`, `none`, or a list such as `server_error,cut_body=0.2,defects,no_id`. Names are those of the
 * catalogue and of the defects; `defects` means all of these. Text that begins with `{` is a patch as the control API takes it,
 * parameters included. Throws RangeError, listing all names, on an unknown one.
 */
export function parseFaultList(list: string): FaultPatch {
  if (list.trimStart().startsWith('{')) return checkedFaultPatch(parsed(list));
  const patch: Record<string, unknown> = {};
  const defects: DefectName[] = [];
  const items = list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  for (const item of items) {
    const [name = '', text] = item.split('=', 2);
    if (isFault(name)) {
      patch[name] = probabilityOf(item, text, faultCatalogue[name].probability);
    } else if (name === 'defects' || isDefect(name)) {
      defects.push(...(isDefect(name) ? [name] : defectNames));
      patch['defectRate'] = probabilityOf(item, text, defaultDefectRate);
    } else if (name === 'all' || name === 'none') {
      patch['preset'] = name;
    } else {
      const known = ['all', 'none', 'defects', ...faultNames, ...defectNames];
      throw new RangeError(`"${name}" is not a fault; known: ${known.join(', ')}`);
    }
  }
  return { ...patch, ...(defects.length > 0 ? { defects } : {}) };
}
