/**
 * One observer that passes each event to all of `observers`, in their order. `names` are the events; an observer that does not have a
 * handler for one does not receive it.
 */
export const teeObserver = <Observer extends object>(
  names: readonly (keyof Observer)[],
  observers: readonly Observer[],
): Observer =>
  Object.fromEntries(
    names.map((name) => [
      name,
      (event: unknown) => {
        for (const observer of observers) (observer[name] as ((event: unknown) => void) | undefined)?.(event);
      },
    ]),
  ) as Observer;
