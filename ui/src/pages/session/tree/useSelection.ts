import { type RefObject, useCallback, useEffect, useRef, useState } from "react";
import { useLocation, useSearchParams } from "react-router";
import type { LiveSession } from "../../../live/useLiveSession";
import { entryKey, headKey, type Row, type Rows } from "./rows";
import type { TreeVirtualizer } from "./useFollow";
import type { TreeState } from "./useTreeState";

export interface Tree {
  rows: Rows;
  latest: RefObject<Rows>;
  state: TreeState;
  virtual: TreeVirtualizer;
  /** Following the newest ends where the reader goes elsewhere. */
  stop(): void;
}

/** How often something that the address names, and that is not there yet, is looked for again. */
const MOST_LOOKS = 50;

/**
 * Goes to what the address names: `?span=` or `?event=`, and else the query of `?query=`. Returns what makes the address
 * name the row that a reader chose: a copied link leads to it.
 */
export function useSelection(tree: Tree, live: LiveSession): (row: Row) => void {
  const [search, setSearch] = useSearchParams();
  const [query, span, event] = [search.get("query"), search.get("span"), search.get("event")];
  // Every navigation has a key: whoever follows a link to where the address is already is led there again.
  const { key, state: history } = useLocation();
  const done = useRef("");
  // What this page itself wrote into the address: the reader is there already. History outlives the page.
  const [opened] = useState(() => String(performance.timeOrigin + performance.now()));
  const isOwn = isWrittenBy(history, opened);
  const looks = useRef(0);
  const { rows } = tree;
  useEffect(() => {
    if (key === done.current) return;
    if (isOwn || (query === null && span === null && event === null)) {
      done.current = key;
      return;
    }
    const found = find(rows, query, span, event);
    looks.current += 1;
    if (found === undefined && looks.current < MOST_LOOKS && live.state !== "closed") return;
    done.current = key;
    looks.current = 0;
    if (found === undefined) return;
    goTo(tree, found.name, found.seq);
  }, [key, isOwn, rows, query, span, event, live.state, tree]);
  return useCallback(
    (row: Row) => {
      const name = row.segment.name === "" ? null : row.segment.name;
      const seq = row.kind === "entry" ? row.entry.seq : undefined;
      const chosen: Record<string, string> = {};
      if (name !== null) chosen.query = name;
      if (seq !== undefined) chosen.event = String(seq);
      const state: Written = { writtenBy: opened };
      setSearch(chosen, { replace: true, state });
    },
    [setSearch, opened],
  );
}

/** What is kept in the history beside an address that the page wrote. */
interface Written {
  writtenBy: string;
}

function isWrittenBy(state: unknown, writer: string): boolean {
  return typeof state === "object" && state !== null && (state as Partial<Written>).writtenBy === writer;
}

/** Opens the way to an entry, or to a query's head, chooses it and brings it into view. */
export function goTo(tree: Tree, name: string, seq: number | undefined): void {
  tree.stop();
  const keys = [headKey(name), ...(seq === undefined ? [] : [entryKey(seq)])];
  tree.state.open(...keys);
  tree.state.setActive({ key: keys.at(-1) ?? "", index: -1 });
  const show = () => {
    const rows = tree.latest.current;
    const index = seq === undefined ? (rows.segment(name)?.start ?? -1) : rows.indexOf(name, seq);
    if (index >= 0) tree.virtual.scrollToIndex(index, { align: seq === undefined ? "start" : "center" });
  };
  // Its query may have been closed: the row is there from the next drawing on.
  requestAnimationFrame(() => {
    show();
    requestAnimationFrame(show);
  });
}

function find(
  rows: Rows,
  query: string | null,
  span: string | null,
  event: string | null,
): { name: string; seq?: number } | undefined {
  const named = query === null ? undefined : rows.segment(query);
  const segments = named === undefined ? rows.segments : [named];
  if (span !== null) {
    for (const { name, entries } of segments) {
      const seq = entries.find((entry) => entry.spanId === span)?.seq;
      if (seq !== undefined) return { name, seq };
    }
  }
  const position = event === null ? Number.NaN : Number(event);
  let best: { name: string; seq: number } | undefined;
  if (Number.isFinite(position)) {
    // An event in the middle of a run, or the end of a call, belongs to the entry that began before it.
    for (const { name, entries } of segments) {
      for (const { seq } of entries) {
        if (seq !== undefined && seq <= position && seq > (best?.seq ?? -1)) best = { name, seq };
      }
    }
  }
  return best ?? (named === undefined ? undefined : { name: named.name });
}
