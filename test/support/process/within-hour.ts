/** What is read together of one hour: if an hour ends meanwhile, all of it is read again. */
export const withinHour = async <T>(read: () => Promise<T>): Promise<T> => {
  for (;;) {
    const began = currentHour();
    const result = await read();
    if (currentHour() === began) return result;
  }
};

const currentHour = (): number => Math.floor(Date.now() / 3_600_000);
