import { type DefectName, defectNames } from '../entries/entry-defects.ts';
import { sourceKinds } from '../entries/entry-text.ts';
import { type FaultName, faultCatalogue, faultNames, parametersOf } from './fault-catalogue.ts';
import { type FaultPatch, operations } from './fault-plan.ts';

const defaultDefectRate = 0.01;

const isFault = (name: string): name is FaultName => (faultNames as string[]).includes(name);

const isDefect = (name: string): name is DefectName => (defectNames as readonly string[]).includes(name);

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
 * `all`, `none`, a list such as `server_error,cut_body=0.2,defects,no_id` (`defects`: all of them), or a patch that begins with `{`.
 * Throws RangeError with all names for an unknown one.
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

type Check = readonly [isGood: (value: unknown) => boolean, what: string];

const isShare = (value: unknown): boolean => typeof value === 'number' && value >= 0 && value <= 1;
const isAmount = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value) && value >= 0;
const isCount = (value: unknown): boolean => isAmount(value) && Number.isInteger(value);
const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';
const oneOf = (names: readonly string[]) => (value: unknown) => names.includes(value as string);

const share: Check = [isShare, 'a number from 0 to 1'];
const amount: Check = [isAmount, 'a number of 0 or more'];
const count: Check = [isCount, 'an integer'];

const parameterChecks: Readonly<Record<string, Check>> = {
  preset: [oneOf(['all', 'none']), '"all" or "none"'],
  defectRate: share,
  defects: [
    (value) => Array.isArray(value) && value.every(oneOf(defectNames)),
    `a list of some of ${defectNames.join(', ')}`,
  ],
  slowBodyMs: amount,
  hangMs: amount,
  lateDelayMs: amount,
  retryAfterSeconds: [isCount, 'an integer number of seconds'],
};

const settingChecks: Readonly<Record<string, Check>> = {
  probability: share,
  count,
  organizationId: [isText, 'an organization id'],
  organizationIds: [(value) => Array.isArray(value) && value.every(isText), 'a list of organization ids'],
  firstOrganizations: count,
  accountId: [isText, 'an account id'],
  accountIds: [(value) => Array.isArray(value) && value.every(isText), 'a list of account ids'],
  firstAccounts: count,
  sourceKind: [oneOf(sourceKinds), `one of ${sourceKinds.join(', ')}`],
  forSeconds: amount,
  operation: [oneOf(operations), `one of ${operations.join(', ')}`],
};

function settingProblems(name: FaultName, value: unknown): string[] {
  if (value === null || isShare(value)) return [];
  if (typeof value !== 'object' || Array.isArray(value)) {
    return [`${name} must be null, a probability from 0 to 1, or an object`];
  }
  const checks = new Map(Object.entries(settingChecks));
  for (const [key, { isGood, what }] of Object.entries(parametersOf(name))) checks.set(key, [isGood, what]);
  return Object.entries(value).flatMap(([key, part]) => {
    const check = checks.get(key);
    if (check === undefined) return [`${name}.${key} is unknown; known: ${[...checks.keys()].join(', ')}`];
    return check[0](part) ? [] : [`${name}.${key} must be ${check[1]}`];
  });
}

/** Empty if it can be applied. */
export function faultPatchProblems(patch: unknown): string[] {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return ['must be a JSON object'];
  return Object.entries(patch).flatMap(([name, value]) => {
    if ((faultNames as string[]).includes(name)) return settingProblems(name as FaultName, value);
    const check = parameterChecks[name];
    if (check !== undefined) return check[0](value) ? [] : [`${name} must be ${check[1]}`];
    const known = [...faultNames, ...Object.keys(parameterChecks)].join(', ');
    return [`${name} is unknown; known: ${known}`];
  });
}

/** Throws RangeError with everything that is wrong. */
export function checkedFaultPatch(patch: unknown): FaultPatch {
  const problems = faultPatchProblems(patch);
  if (problems.length > 0) throw new RangeError(`Bad fault settings: ${problems.join('; ')}`);
  return patch as FaultPatch;
}
