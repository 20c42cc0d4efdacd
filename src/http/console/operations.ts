import type { Pool } from '../../postgres/pool.ts';
import { isRefusal } from '../../postgres/sql-state.ts';
import type { SinkStream } from '../../sinks/ports.ts';
import { readSinkStatus, type SinkStatus } from '../../sinks/sink-status.sql.ts';
import { type Html, html } from './html.ts';
import { pagesBeside } from './page.ts';

export interface Operations {
  readonly pool: Pool;
  /** For statements that may take seconds. */
  readonly slowPool: Pool;
  readonly config: {
    readonly archive: { readonly target: { readonly name: string } } | undefined;
    /** Infinity: everything is kept. */
    readonly retentionMs: number;
    readonly sinks: readonly { readonly name: string; readonly settings: { readonly events: SinkStream } }[];
  };
  sinks(): Promise<readonly SinkStatus[]>;
}

export interface ShownSink extends SinkStatus {
  /** Undefined: it is not configured any more, and nothing delivers to it. */
  readonly sends: SinkStream | undefined;
}

/** All that there have been; those that are configured first. What the database refuses to tell shows at those that are configured. */
export const shownSinks = async ({ pool, config, sinks }: Operations): Promise<readonly ShownSink[]> => {
  const streams = new Map(config.sinks.map(({ name, settings }) => [name, settings.events]));
  const configured = await sinks();
  const all = await readSinkStatus(pool, undefined).catch((error: unknown) => {
    if (isRefusal(error)) return [];
    throw error;
  });
  return [
    ...configured.map((sink) => ({ ...sink, sends: streams.get(sink.name) ?? ('entries' as const) })),
    ...all.filter(({ name }) => !streams.has(name)).map((sink) => ({ ...sink, sends: undefined })),
  ];
};

export const OPERATIONS_PATH = '/sinks';

const pages = [
  { href: '/sinks', name: 'Sinks' },
  { href: '/holds', name: 'Legal holds' },
  { href: '/archive', name: 'Archive' },
  { href: '/access-tokens', name: 'Tokens' },
  { href: '/access-log', name: 'Access log' },
  { href: '/checks', name: 'Checks' },
] as const;

type OperationsPath = (typeof pages)[number]['href'];

export const operationsMenu = (current: OperationsPath): Html =>
  pagesBeside(
    'Operation',
    pages.map(({ href, name }) => ({ href, name, isCurrent: current === href })),
  );

export const operationsHead = (current: OperationsPath, title: string): Html =>
  html`${operationsMenu(current)}<div class="row between"><h1>${title}</h1><p class="muted live" data-connection-note role="status"></p></div>`;
