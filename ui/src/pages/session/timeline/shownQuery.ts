import type { Query } from "../../../api/types";
import { moment } from "../../../format";

/** The names of the queries, the one that began last first. */
export function newestFirst(queries: Readonly<Record<string, Query>>): string[] {
  return Object.entries(queries)
    .map(([name, query]) => ({ name, began: moment(query.startedAt) ?? 0 }))
    .sort((one, other) => other.began - one.began)
    .map(({ name }) => name);
}

/** Which query is seen: the one that the reader chose, else the one that was the newest when the page was opened. */
export interface ShownQuery {
  name: string | undefined;
  /** One that has begun since, of which the reader, who chose none, is told. */
  newer: string | undefined;
}

export function shownQuery(
  wanted: string | null,
  opened: string | undefined,
  names: readonly string[],
): ShownQuery {
  if (wanted !== null && names.includes(wanted)) return { name: wanted, newer: undefined };
  const name = opened !== undefined && names.includes(opened) ? opened : names[0];
  return { name, newer: names[0] === name ? undefined : names[0] };
}
