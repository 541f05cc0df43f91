import type { SessionSummary } from "../../api/types";

/** What decides a session's place in the list. */
export type SortKey = Pick<SessionSummary, "id" | "lastActivity">;

/** Negative where `one` stands above `other`: latest activity first, then by id, as the API's pages are. */
export function compareNewest(one: SortKey, other: SortKey): number {
  return compareTimes(other.lastActivity, one.lastActivity) || compare(other.id, one.id);
}

/** Negative where `one` is earlier: RFC 3339 in UTC, of any precision; no time is the earliest. */
export function compareTimes(one: string | undefined, other: string | undefined): number {
  return compare(comparable(one), comparable(other));
}

/** Times of one length compare as text, to the nanosecond, which a number of milliseconds could not hold. */
function comparable(time: string | undefined): string {
  if (time === undefined) return "";
  return `${time.slice(0, 19)}.${time.slice(20, -1).padEnd(9, "0")}`;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
