import type { SessionSummary } from "../../api/types";
import { compareNewest, type SortKey } from "./order";
import { thinned, trimmed } from "./trim";

/** A session that is known: `seq` is the position of what is known of it. */
export interface Row {
  session: SessionSummary;
  seq: number;
  /** Why it stays only until the order may change: it was deleted, or the filters no longer let it through. */
  leaving?: "gone" | "unmatched";
}

/**
 * The list as far as it is loaded. While it is frozen `order` stays what it is: rows change where they stand, and what
 * would come, go or move is in `moved`.
 */
export interface SessionList {
  rows: ReadonlyMap<string, Row>;
  order: readonly string[];
  moved: ReadonlySet<string>;
  frozen: boolean;
  /** Where the next page begins; absent when all is loaded. */
  next?: NextPage;
  /** The oldest that is loaded; what is older comes with a page. */
  end?: SortKey;
  /** How many were read by pages. */
  paged: number;
  /** The topmost of those that were to come and were too many; when the order is let go the list ends above it. */
  cut?: SortKey;
}

/** What the API is asked for the next page with; `until`: the list was cut short, and what it has may come again. */
export type NextPage = { cursor: string } | { until: string };

export interface Change {
  id: string;
  seq: number;
  /** Absent: the session was deleted. */
  session?: SessionSummary;
  /** Whether the filters let it through; "if known": as before, since what made it match never goes. */
  matches: boolean | "if known";
}

interface Page {
  items: readonly SessionSummary[];
  nextCursor?: string;
}

export const EMPTY: SessionList = {
  rows: new Map(),
  order: [],
  moved: new Set(),
  frozen: false,
  paged: 0,
};

/** The list that begins with this page; whatever was known before is forgotten. */
export function firstPage(page: Page, frozen: boolean): SessionList {
  return nextPage({ ...EMPTY, frozen }, page);
}

/** The list with a further page at its end. Of a session that changed meanwhile the newer state stays. */
export function nextPage(list: SessionList, page: Page): SessionList {
  const rows = new Map(list.rows);
  const added: string[] = [];
  for (const session of page.items) {
    const known = rows.get(session.id);
    if (known !== undefined && known.seq >= session.seq) continue;
    rows.set(session.id, { session, seq: session.seq });
    if (known === undefined) added.push(session.id);
  }
  const { next: _, end: before, ...rest } = list;
  const end = page.items.at(-1) ?? before;
  return {
    ...rest,
    rows,
    order: [...list.order, ...added],
    paged: list.paged + added.length,
    ...(page.nextCursor === undefined ? {} : { next: { cursor: page.nextCursor } }),
    ...(page.nextCursor === undefined || end === undefined ? {} : { end }),
  };
}

/** The list after these changes, which may come in any order and more than once. */
export function applyChanges(list: SessionList, changes: readonly Change[]): SessionList {
  const rows = new Map(list.rows);
  const moved = new Set(list.moved);
  for (const change of changes) {
    const known = rows.get(change.id);
    if (known !== undefined && known.seq >= change.seq) continue;
    const isUndecided = change.matches === "if known" && (known === undefined || known.leaving !== undefined);
    if (change.session !== undefined && isUndecided) continue;
    if (change.session !== undefined && change.matches !== false) {
      if (known === undefined && isBeyond(list, change.session)) continue;
      rows.set(change.id, { session: change.session, seq: change.seq });
    } else if (known !== undefined) {
      const session = change.session ?? known.session;
      const leaving = change.session === undefined ? "gone" : "unmatched";
      rows.set(change.id, { session, seq: change.seq, leaving });
    } else {
      continue;
    }
    moved.add(change.id);
  }
  if (moved.size === 0) return list;
  const next = { ...list, rows, moved };
  return list.frozen && list.order.length > 0 ? thinned(next) : settle(next);
}

/** Hold the order, or let it go. */
export function freeze(list: SessionList, frozen: boolean): SessionList {
  if (list.frozen === frozen) return list;
  const next = { ...list, frozen };
  return frozen ? next : settle(next);
}

/** Put everything where it belongs, and let go what leaves. */
export function settle(list: SessionList): SessionList {
  if (list.moved.size === 0) return list;
  const rows = new Map(list.rows);
  for (const id of list.moved) {
    if (rows.get(id)?.leaving !== undefined) rows.delete(id);
  }
  return trimmed({ ...list, rows, order: orderOf(list), moved: new Set() });
}

/** How many rows would come, rise or go if the order were let go; more, where there is a `cut`. */
export function newer(list: SessionList): number {
  if (list.moved.size === 0) return 0;
  const order = orderOf(list);
  const staying = new Set(order);
  const places = new Map(list.order.filter((id) => staying.has(id)).map((id, place) => [id, place]));
  let found = list.order.length - places.size;
  let place = 0;
  for (const id of order) {
    const before = places.get(id);
    if (before === undefined) found += 1;
    else if (place++ < before) found += 1;
  }
  return found;
}

/** The order that the rows belong in: those that did not move are in order already. */
function orderOf(list: SessionList): string[] {
  const kept = list.order.filter((id) => !list.moved.has(id) && list.rows.has(id));
  const coming = [...list.moved]
    .map((id) => list.rows.get(id))
    .filter((row) => row !== undefined && row.leaving === undefined)
    .map((row) => row?.session)
    .filter((session) => session !== undefined)
    .sort(compareNewest);
  const order: string[] = [];
  let next = 0;
  for (const id of kept) {
    const standing = list.rows.get(id)?.session;
    for (let each = coming[next]; each !== undefined && standing !== undefined; each = coming[next]) {
      if (compareNewest(each, standing) > 0) break;
      order.push(each.id);
      next += 1;
    }
    order.push(id);
  }
  for (const each of coming.slice(next)) order.push(each.id);
  return order;
}

function isBeyond(list: SessionList, session: SessionSummary): boolean {
  return list.end !== undefined && compareNewest(session, list.end) > 0;
}
