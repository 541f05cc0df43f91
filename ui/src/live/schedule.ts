/** When the broker is asked again for a query that has changed. Milliseconds throughout. */

/** What is known of a query's reading. */
export interface Reading {
  /** When the last event came that the last answer does not have; undefined: it has all. */
  changedAt: number | undefined;
  /** When the first such event came. */
  changedSince: number | undefined;
  /** The phase changed since. */
  isUrgent: boolean;
  /** When the query was asked for last, and how long that took. */
  askedAt: number;
  took: number;
  /** The broker does not show all of it: what was folded here is more. */
  isTooLarge: boolean;
}

export const UNREAD: Reading = {
  changedAt: undefined,
  changedSince: undefined,
  isUrgent: false,
  askedAt: Number.NEGATIVE_INFINITY,
  took: 0,
  isTooLarge: false,
};

const QUIET = 1_000;
const QUIET_AFTER_PHASE = 150;
/** Of a query that is never quiet: its tokens and costs are the broker's to know. */
const LONGEST_WAIT = 20_000;
const SHORTEST_PAUSE = 2_000;
/** Of the time, so much at most is spent on asking for one query. */
const SHARE = 1 / 40;
/** Entries; what is larger is asked for less often, whatever the broker is capable of. */
const LARGE = 2_000;

/** When to ask for a query of so many entries; undefined: not until something changes. */
export function nextReading(reading: Reading, entries: number): number | undefined {
  if (reading.changedAt === undefined || reading.changedSince === undefined || reading.isTooLarge)
    return undefined;
  const quiet = reading.changedAt + (reading.isUrgent ? QUIET_AFTER_PHASE : QUIET);
  const wanted = Math.min(quiet, reading.changedSince + LONGEST_WAIT);
  const pause = Math.max(SHORTEST_PAUSE, reading.took / SHARE, (entries / LARGE) * SHORTEST_PAUSE);
  return Math.max(
    wanted,
    reading.askedAt + (reading.isUrgent ? Math.min(pause, 4 * reading.took + 300) : pause),
  );
}

/** After events of the query came. */
export function afterEvents(reading: Reading, now: number, isPhaseNew: boolean): Reading {
  return {
    ...reading,
    changedAt: now,
    changedSince: reading.changedSince ?? now,
    isUrgent: reading.isUrgent || isPhaseNew,
  };
}

/** When it is being asked for. */
export function afterAsking(reading: Reading, now: number): Reading {
  return { ...reading, askedAt: now, changedAt: undefined, changedSince: undefined, isUrgent: false };
}
