import type { Response } from 'playwright-core';
import { type ConsoleFixture, openConsole } from '../console/console-fixture.ts';
import { defectiveText, hostileText, largeText, wantedEntry } from './search-entries.ts';

/** The console over 300 simulated entries and those of explorer-entries.ts. */
export interface ExplorerFixture extends ConsoleFixture {
  /** Goes to a path of the console with the first page. */
  open(path: string): Promise<Response | null>;
  /** Where the rows of the first page lead to, in order, without the search that they carry. */
  rowIds(): Promise<string[]>;
  /** Of the stored event with this id. */
  positionOf(id: string): Promise<number>;
}

/** For a test file, as `openConsole` is. Resolves once all events are stored. */
export const openExplorerConsole = async (): Promise<ExplorerFixture> => {
  const console = await openConsole({ simulator: { entries: 300 } });
  const { page, url, simulator, database } = console;
  const [organization] = simulator.summary().organizations;
  simulator.append(organization?.id ?? '', [JSON.stringify(wantedEntry), hostileText, largeText, defectiveText]);
  await console.untilStored();
  return {
    ...console,
    open: (path) => page.goto(`${url}${path}`),
    rowIds: () => page.evaluate<string[]>('[...document.querySelectorAll("[data-row]")].map((link) => link.pathname)'),
    positionOf: async (id) => {
      const { rows } = await database.pool.query('select position::integer from audit_events where id = $1', [id]);
      return rows[0].position;
    },
  };
};
