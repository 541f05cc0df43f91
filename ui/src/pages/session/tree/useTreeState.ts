import { useCallback, useMemo, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import type { Session } from "../../../api/types";
import { headKey, orderedQueries, type Row } from "./rows";
import { openQuestion } from "./words";

export interface Active {
  key: string;
  /** Where the row was when it was chosen. */
  index: number;
}

export interface TreeState {
  active: Active | undefined;
  setActive(active: Active): void;
  isQueryOpen(name: string): boolean;
  isExpanded(row: Row & { kind: "entry" }): boolean;
  /** Opens what is closed, closes what is open. */
  toggle(key: string, row: Row | undefined): void;
  open(...keys: string[]): void;
  setAllQueries(isOpen: boolean): void;
  startsFollowing: boolean;
}

/** A session with fewer entries than this is shown with all its queries open. */
const FEW = 400;

/** What is open and which row is chosen. What a person opened or closed stays so. */
export function useTreeState(session: Session | undefined): TreeState {
  const [search] = useSearchParams();
  const closedAtFirst = useRef<ReadonlySet<string> | undefined>(undefined);
  if (closedAtFirst.current === undefined && session !== undefined)
    closedAtFirst.current = quietQueries(session);
  const startsFollowing = useRef<boolean | undefined>(undefined);
  if (startsFollowing.current === undefined && session !== undefined) {
    const isAsked = ["query", "span", "event"].some((name) => search.has(name));
    startsFollowing.current = !isAsked && session.status === "active";
  }
  const [active, setActive] = useState<Active>();
  const [chosen, setChosen] = useState<ReadonlyMap<string, boolean>>(new Map());

  const isQueryOpen = useCallback(
    (name: string) => chosen.get(headKey(name)) ?? closedAtFirst.current?.has(name) !== true,
    [chosen],
  );
  const isExpanded = useCallback(
    (row: Row & { kind: "entry" }) => chosen.get(row.key) ?? openQuestion(row.segment.query) === row.entry,
    [chosen],
  );
  const toggle = useCallback((key: string, row: Row | undefined) => {
    if (row === undefined) return;
    setChosen((before) => {
      const isHead = row.kind === "head";
      const isOpen =
        before.get(key) ?? (isHead ? row.segment.isOpen : openQuestion(row.segment.query) === row.entry);
      return new Map(before).set(key, !isOpen);
    });
  }, []);
  const open = useCallback((...keys: string[]) => {
    setChosen((before) => {
      if (keys.every((key) => before.get(key) === true)) return before;
      const after = new Map(before);
      for (const key of keys) after.set(key, true);
      return after;
    });
  }, []);
  const setAllQueries = useCallback(
    (isOpen: boolean) => {
      setChosen((before) => {
        const after = new Map(before);
        for (const name of ["", ...Object.keys(session?.queries ?? {})]) after.set(headKey(name), isOpen);
        return after;
      });
    },
    [session],
  );
  return useMemo(
    () => ({
      active,
      setActive,
      isQueryOpen,
      isExpanded,
      toggle,
      open,
      setAllQueries,
      startsFollowing: startsFollowing.current ?? false,
    }),
    [active, isQueryOpen, isExpanded, toggle, open, setAllQueries],
  );
}

/** The queries that are closed when the page opens: of a large session all that are over, but for failed ones and the newest. */
function quietQueries(session: Session): ReadonlySet<string> {
  const queries = orderedQueries(session);
  const entries = queries.reduce((sum, [, query]) => sum + query.events.length, 0);
  if (entries <= FEW) return new Set();
  return new Set(
    queries
      .slice(0, -1)
      .filter(([, query]) => query.phase === "done" || query.phase === "canceled")
      .map(([name]) => name),
  );
}
