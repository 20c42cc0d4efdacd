import { type Pool, Query } from 'pg';

/** The text of each field of a row, in the order in which they were selected. */
export type TextRow = readonly (string | null)[];

/** What the driver's queries have beside what its types say. */
interface StreamedQuery {
  callback: (error: Error | null) => void;
  handleDataRow: (message: { readonly fields: TextRow }) => void;
}

/**
 * Runs a statement and hands each row to `take` as it comes: of tens of thousands, no two are in memory at once. Errors are those of
 * `Pool.query`; rejects with what `take` threw, after the last row.
 */
export const eachRow = async (
  pool: Pool,
  text: string,
  values: readonly unknown[],
  take: (row: TextRow) => void,
): Promise<void> => {
  const client = await pool.connect();
  // A connection that breaks also fails the statement; without a listener it would end the process as well.
  const onError = () => {};
  client.on('error', onError);
  let failure: { readonly error: unknown } | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const query = new Query({ text, values: [...values] }) as Query & StreamedQuery;
      query.callback = (error) => (error === null ? resolve() : reject(error));
      query.handleDataRow = ({ fields }) => {
        if (failure !== undefined) return;
        try {
          take(fields);
        } catch (error) {
          failure = { error };
        }
      };
      client.query(query);
    });
    client.release();
  } catch (error) {
    client.release(error instanceof Error ? error : true);
    throw error;
  } finally {
    client.off('error', onError);
  }
  if (failure !== undefined) throw failure.error;
};
