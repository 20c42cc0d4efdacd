import { type DefectName, defectNames } from '../entries/entry-defects.ts';
import { draw, isChosen, keyOf, type SourceKind, type SourceRef } from '../entries/entry-text.ts';
import { type FaultName, faultCatalogue, faultNames, parametersOf, type ValuesOf } from './fault-catalogue.ts';

/** Faults can be limited to one of these. */
export const operations = [
  'organizations',
  'organization',
  'profile',
  'audit',
  'organization_accounts',
  'accounts',
  'account',
  'history',
  'product_categories',
  'user',
  'verify',
] as const;
export type Operation = (typeof operations)[number];

export interface FaultSetting {
  /** 0 to 1, per request or entry. */
  readonly probability: number;
  /** Occurrences left. Default: no limit. */
  readonly count?: number;
  readonly organizationId?: string;
  readonly organizationIds?: readonly string[];
  /** Only for the first ones of the listing. */
  readonly firstOrganizations?: number;
  readonly accountId?: string;
  readonly accountIds?: readonly string[];
  /** Only for the first ones of the listing. */
  readonly firstAccounts?: number;
  readonly sourceKind?: SourceKind;
  /** From now, by the clock without its offset. Default: until changed. */
  readonly forSeconds?: number;
  readonly operation?: Operation;
}

export interface FaultParameters {
  /** Share of entries, 0 to 1. */
  readonly defectRate: number;
  /** Handed out in turn. */
  readonly defects: readonly DefectName[];
  readonly slowBodyMs: number;
  /** Until the socket is destroyed; 0: never. */
  readonly hangMs: number;
  /** Latest visibility after action.time; the earliest is half of it. */
  readonly lateDelayMs: number;
  /** Of `throttled`. */
  readonly retryAfterSeconds: number;
}

/** With the fault's own parameters. */
export type SettingOf<N extends FaultName> = FaultSetting & ValuesOf<(typeof faultCatalogue)[N]['parameters']>;

export type FaultPatch = Partial<FaultParameters> & {
  readonly [N in FaultName]?: number | Partial<SettingOf<N>> | null;
} & { readonly preset?: 'all' | 'none' };

export type FaultState = FaultParameters & { readonly [N in FaultName]: SettingOf<N> | { readonly probability: 0 } };

export interface Occasion {
  /** The same number meets the same faults under the same seed. */
  readonly number: number;
  readonly operation?: Operation;
  /** Asked about, or whose log it is. */
  readonly source?: SourceRef;
}

const quiet: FaultParameters = {
  defectRate: 0,
  defects: defectNames,
  slowBodyMs: 150,
  hangMs: 0,
  lateDelayMs: 20_000,
  retryAfterSeconds: 1,
};

/** Everything that a correct client gets over in reasonable time. */
function allFaults(): FaultPatch {
  const patch: Record<string, number> = { defectRate: 0.01 };
  for (const name of faultNames) {
    if (faultCatalogue[name].inAll) patch[name] = faultCatalogue[name].probability;
  }
  return patch as FaultPatch;
}

export interface FaultSurroundings {
  /** Milliseconds since the epoch; times `forSeconds`. Default `Date.now`. */
  readonly clock?: () => number;
  /** Place in its listing, from 0. */
  readonly placeOf?: (source: SourceRef) => number | undefined;
}

type LiveSetting = Readonly<{ setting: FaultSetting; untilMs: number }>;

/** Each fault draws from its own stream: switching one does not move others. State: settings, counts left, occurrences. */
export class FaultPlan {
  readonly #keys = new Map<FaultName, number>();
  readonly #settings = new Map<FaultName, LiveSetting>();
  readonly #fired = new Map<FaultName, number>();
  readonly #clock: () => number;
  readonly #placeOf: (source: SourceRef) => number | undefined;
  #parameters: FaultParameters = quiet;

  constructor(seed: number, { clock = Date.now, placeOf = () => undefined }: FaultSurroundings = {}) {
    for (const name of faultNames) this.#keys.set(name, keyOf(name, seed));
    this.#clock = clock;
    this.#placeOf = placeOf;
  }

  get parameters(): FaultParameters {
    return this.#parameters;
  }

  /** Saves callers the work of finding out. */
  isOn(name: FaultName): boolean {
    return this.#live(name) !== undefined;
  }

  /** Drawn bits to choose a variant with, if the fault happens now. Uses up one of its count. */
  fires(name: FaultName, occasion: Occasion): number | undefined {
    return this.meets(name, occasion) === undefined ? undefined : draw(this.#key(name) + 1, occasion.number);
  }

  /** The setting if the fault happens now, which needs `holds`. Uses up one of its count. */
  meets<N extends FaultName>(
    name: N,
    occasion: Occasion,
    holds: (setting: SettingOf<N>) => boolean = () => true,
  ): SettingOf<N> | undefined {
    const live = this.#live(name);
    if (live === undefined || !this.#concerns(live.setting, occasion)) return undefined;
    const setting = live.setting as SettingOf<N>;
    if (!holds(setting)) return undefined;
    if (!isChosen(draw(this.#key(name), occasion.number), setting.probability)) return undefined;
    if (setting.count !== undefined) this.#useUp(name, live, setting.count);
    this.#fired.set(name, (this.#fired.get(name) ?? 0) + 1);
    return setting;
  }

  #key(name: FaultName): number {
    return this.#keys.get(name) ?? 0;
  }

  #live(name: FaultName): LiveSetting | undefined {
    const live = this.#settings.get(name);
    if (live === undefined || this.#clock() < live.untilMs) return live;
    this.#settings.delete(name);
    return undefined;
  }

  #concerns(setting: FaultSetting, { source, operation }: Occasion): boolean {
    if (setting.operation !== undefined && setting.operation !== operation) return false;
    if (setting.sourceKind !== undefined && setting.sourceKind !== source?.kind) return false;
    const { organizationId, organizationIds, firstOrganizations, accountId, accountIds, firstAccounts } = setting;
    const chosen = {
      organization: { id: organizationId, ids: organizationIds, first: firstOrganizations },
      account: { id: accountId, ids: accountIds, first: firstAccounts },
    };
    const isChosenBy = (kind: SourceKind) => Object.values(chosen[kind]).some((value) => value !== undefined);
    if (!isChosenBy('organization') && !isChosenBy('account')) return true;
    if (source === undefined || !isChosenBy(source.kind)) return false;
    const { id, ids, first } = chosen[source.kind];
    if ((id ?? source.id) !== source.id || ids?.includes(source.id) === false) return false;
    return first === undefined || (this.#placeOf(source) ?? Number.POSITIVE_INFINITY) < first;
  }

  #useUp(name: FaultName, live: LiveSetting, count: number): void {
    if (count <= 1) this.#settings.delete(name);
    else this.#settings.set(name, { ...live, setting: { ...live.setting, count: count - 1 } });
  }

  /** The patch is validated. `preset` first resets everything. */
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
    if (value === null) {
      this.#settings.delete(name);
      return;
    }
    const standards = Object.entries(parametersOf(name)).map(([key, { standard }]) => [key, standard] as const);
    const given = typeof value === 'number' ? { probability: value } : value;
    const setting: FaultSetting = { ...Object.fromEntries(standards), probability: 1, ...given };
    const { probability, count, forSeconds = Number.POSITIVE_INFINITY } = setting;
    if (probability === 0 || count === 0) this.#settings.delete(name);
    else this.#settings.set(name, { setting, untilMs: this.#clock() + forSeconds * 1000 });
  }

  /** `count` and `forSeconds` are what is left. */
  current(): FaultState {
    const state: Record<string, unknown> = { ...this.#parameters };
    for (const name of faultNames) {
      const live = this.#live(name);
      const forSeconds = live === undefined ? 0 : (live.untilMs - this.#clock()) / 1000;
      const left = Number.isFinite(forSeconds) ? { forSeconds } : {};
      state[name] = live === undefined ? { probability: 0 } : { ...live.setting, ...left };
    }
    return state as unknown as FaultState;
  }

  fired(): Partial<Record<FaultName, number>> {
    return Object.fromEntries(this.#fired);
  }
}
