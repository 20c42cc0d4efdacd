import type { Browser, Response } from 'playwright-core';
import { type ConsoleFixture, openConsole } from '../console/console-fixture.ts';
import { makeSearchEntries } from './search-entries.ts';

/** The console over 300 simulated entries and those of search-entries.ts. */
interface ExplorerWorld extends ConsoleFixture {
  readonly entries: ReturnType<typeof makeSearchEntries>;
}

export interface ExplorerFixture extends ExplorerWorld {
  /** Goes to a path of the console with the first page. */
  open(path: string): Promise<Response | null>;
  /** Where the rows of the first page lead to, in order, without the search that they carry. */
  rowIds(): Promise<string[]>;
  /** Of the stored event with this id. */
  positionOf(id: string): Promise<number>;
}

/** As `openConsole`. */
export const openExplorerConsole = async (browser: Browser): Promise<ExplorerWorld> => {
  const console = await openConsole(browser, { simulator: { entries: 300 } });
  const [organization] = console.simulator.summary().organizations;
  const entries = makeSearchEntries();
  const { wantedEntry, hostileText, largeText, defectiveText } = entries;
  const texts = [JSON.stringify(wantedEntry), hostileText, largeText, defectiveText];
  console.simulator.append(organization?.id ?? '', texts);
  await console.untilStored();
  return { ...console, entries };
};

/** The same world with another first page, whose cookies, size and colours are its own. */
export const anotherPage = async (world: ExplorerWorld): Promise<ExplorerFixture> => {
  const { url, database } = world;
  const { page, faults } = await world.newPage();
  return {
    ...world,
    page,
    faults,
    open: (path) => page.goto(`${url}${path}`),
    rowIds: () => page.evaluate<string[]>('[...document.querySelectorAll("[data-row]")].map((link) => link.pathname)'),
    positionOf: async (id) => {
      const { rows } = await database.pool.query('select position::integer from audit_events where id = $1', [id]);
      return rows[0].position;
    },
  };
};
