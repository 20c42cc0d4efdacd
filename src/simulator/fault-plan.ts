import { type DefectName, defectNames } from './entry-defects.ts';
import { type FaultName, faultCatalogue, faultNames } from './fault-catalogue.ts';
import { draw, isChosen, keyOf } from './random.ts';

/** What the simulated API is asked to do; faults can be limited to one of these. */
export const operations = ['organizations', 'organization', 'profile', 'audit'] as const;
export type Operation = (typeof operations)[number];

/** How often a fault happens, and to whom. */
export interface FaultSetting {
  /** 0 to 1, for each occasion (a request, or an entry). */
  readonly probability: number;
  /** How many times more it may happen. Absent: without end. */
  readonly count?: number;
  /** Only for requests to (or entries of) this organization. */
  readonly organizationId?: string;
  /** Only for this operation. */
  readonly operation?: Operation;
}

/** Sizes and durations of the faults. Milliseconds where the name says so. */
export interface FaultParameters {
  /** Share of the entries that get a defect, 0 to 1. */
  readonly defectRate: number;
  /** The defects handed out, in turn. */
  readonly defects: readonly DefectName[];
  readonly slowBodyMs: number;
  /** A hung response ends (socket destroyed) after this; 0: never. */
  readonly hangMs: number;
  /** A late entry is visible this long after its action.time at the latest, and half of it at the earliest. */
  readonly lateDelayMs: number;
  /** `Retry-After` of the fault `throttled`, seconds. */
  readonly retryAfterSeconds: number;
}

export type FaultPatch = Partial<FaultParameters> & {
  readonly [name in FaultName]?: number | Partial<FaultSetting> | null;
} & { readonly preset?: 'all' | 'none' };

export type FaultState = FaultParameters & { readonly [name in FaultName]: FaultSetting };

/** Whose turn it is: the occasion that may meet a fault. */
export interface Occasion {
  /** Counts occasions; the same number meets the same faults under the same seed. */
  readonly number: number;
  readonly operation?: Operation;
  readonly organizationId?: string;
}

const quiet: FaultParameters = {
  defectRate: 0,
  defects: defectNames,
  slowBodyMs: 150,
  hangMs: 0,
  lateDelayMs: 20_000,
  retryAfterSeconds: 1,
};

/** Settings of `--faults all`: everything that a correct client gets over within reasonable time. */
export function allFaults(): FaultPatch {
  const patch: Record<string, number> = { defectRate: 0.01 };
  for (const name of faultNames) {
    if (faultCatalogue[name].inAll) patch[name] = faultCatalogue[name].probability;
  }
  return patch as FaultPatch;
}

/**
 * Decides which occasion meets which fault. Every fault draws from its own stream, so switching one on or off does not
 * move the others. The only state is the settings, the counts left and how often each fault has happened.
 */
export class FaultPlan {
  readonly #keys = new Map<FaultName, number>();
  readonly #settings = new Map<FaultName, FaultSetting>();
  readonly #fired = new Map<FaultName, number>();
  #parameters: FaultParameters = quiet;

  constructor(seed: number) {
    for (const name of faultNames) this.#keys.set(name, keyOf(name, seed));
  }

  get parameters(): FaultParameters {
    return this.#parameters;
  }

  /** True when the fault can happen at all: lets callers skip the work of finding out. */
  isOn(name: FaultName): boolean {
    return this.#settings.has(name);
  }

  /** Drawn bits (to choose a variant with) when the fault happens now, else undefined. Uses up one of its count. */
  fires(name: FaultName, occasion: Occasion): number | undefined {
    const setting = this.#settings.get(name);
    if (setting === undefined) return undefined;
    if (setting.organizationId !== undefined && setting.organizationId !== occasion.organizationId) return undefined;
    if (setting.operation !== undefined && setting.operation !== occasion.operation) return undefined;
    const key = this.#keys.get(name) ?? 0;
    if (!isChosen(draw(key, occasion.number), setting.probability)) return undefined;
    if (setting.count !== undefined) this.#useUp(name, setting, setting.count);
    this.#fired.set(name, (this.#fired.get(name) ?? 0) + 1);
    return draw(key + 1, occasion.number);
  }

  #useUp(name: FaultName, setting: FaultSetting, count: number): void {
    if (count <= 1) this.#settings.delete(name);
    else this.#settings.set(name, { ...setting, count: count - 1 });
  }

  /** Changes what the (already validated) patch names, and nothing else; `preset` first resets everything. */
  patch(patch: FaultPatch): void {
    const { preset, ...rest } = patch;
    if (preset !== undefined) {
      this.#settings.clear();
      this.#parameters = quiet;
      if (preset === 'all') this.patch(allFaults());
    }
    const parameters: Record<string, unknown> = { ...this.#parameters };
    for (const [name, value] of Object.entries(rest)) {
      if (name in quiet) parameters[name] = value;
      else this.#set(name as FaultName, value as number | Partial<FaultSetting> | null);
    }
    this.#parameters = parameters as unknown as FaultParameters;
  }

  #set(name: FaultName, value: number | Partial<FaultSetting> | null): void {
    const setting = typeof value === 'number' ? { probability: value } : { probability: 1, ...value };
    if (value === null || setting.probability === 0 || ('count' in setting && setting.count === 0)) {
      this.#settings.delete(name);
    } else {
      this.#settings.set(name, setting);
    }
  }

  /** The settings as they are now; counts show what is left. */
  current(): FaultState {
    const state: Record<string, unknown> = { ...this.#parameters };
    for (const name of faultNames) state[name] = this.#settings.get(name) ?? { probability: 0 };
    return state as unknown as FaultState;
  }

  /** How often each fault has happened so far. */
  fired(): Partial<Record<FaultName, number>> {
    return Object.fromEntries(this.#fired);
  }
}
