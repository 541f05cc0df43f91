import { moment } from "../../format";
import type { SessionList } from "./list";
import { compareNewest, type SortKey } from "./order";

/** So many rows may be there beyond those that somebody scrolled to. */
export const MOST_ADDED = 1_000;
/** What is over the bound is brought this far below it, so that not every new session lets one go. */
const LEFT = 500;

/**
 * A list whose order may move, without the rows at its end that are too many: it ends above them, and reads on there.
 */
export function trimmed(list: SessionList): SessionList {
  const { cut, ...rest } = list;
  const keep = Math.min(keptByNumber(list), keptByCut(list));
  if (cut === undefined && keep === list.order.length) return list;
  const order = list.order.slice(0, keep);
  const end = list.rows.get(order.at(-1) ?? "")?.session ?? cut;
  const until = end === undefined ? undefined : timeAfter(end);
  // One that never did anything stands at the very end: there is nothing to read behind it.
  if (end === undefined || until === undefined) return rest;
  const rows = new Map(list.rows);
  for (const id of list.order.slice(keep)) rows.delete(id);
  return { ...rest, rows, order, next: { until }, end, paged: Math.min(list.paged, keep) };
}

/**
 * A list whose order is held, without the oldest of those that wait to come, where they are too many. When the order is
 * let go the list ends above them.
 */
export function thinned(list: SessionList): SessionList {
  if (list.rows.size - list.order.length <= MOST_ADDED) return list;
  const standing = new Set(list.order);
  const waiting = [...list.rows.values()]
    .filter((row) => !standing.has(row.session.id))
    .map((row) => row.session)
    .sort(compareNewest);
  const rows = new Map(list.rows);
  const moved = new Set(list.moved);
  for (const session of waiting.slice(LEFT)) {
    rows.delete(session.id);
    moved.delete(session.id);
  }
  const first = waiting[LEFT];
  const isHigher = first !== undefined && (list.cut === undefined || compareNewest(first, list.cut) < 0);
  return { ...list, rows, moved, ...(isHigher ? { cut: first } : {}) };
}

function keptByNumber({ order, paged }: SessionList): number {
  return order.length > paged + MOST_ADDED ? paged + LEFT : order.length;
}

function keptByCut({ order, rows, cut }: SessionList): number {
  if (cut === undefined) return order.length;
  const first = order.findIndex((id) => {
    const session = rows.get(id)?.session;
    return session !== undefined && compareNewest(session, cut) > 0;
  });
  return first === -1 ? order.length : first;
}

/** A time that what stands at `key` is before, and all that follows it: by a millisecond, as a Date has no less. */
function timeAfter(key: SortKey): string | undefined {
  const at = moment(key.lastActivity);
  return at === undefined ? undefined : new Date(Math.floor(at) + 1).toISOString();
}
