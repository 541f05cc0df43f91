import { useCallback, useEffect, useState } from "react";
import type { LiveSession } from "../../../live/useLiveSession";
import { goTo, type Tree } from "./useSelection";

export interface Errors {
  many: number;
  next(): void;
  /** What a screen reader is told of the last jump. */
  said: string;
}

/** Goes from one failure to the next: by a button, and by the key `e`. */
export function useErrors(tree: Tree, live: LiveSession, active: number): Errors {
  const { failures } = live;
  const [said, setSaid] = useState("");
  const next = useCallback(() => {
    const places = failures
      .map((failure) => ({ failure, order: orderOf(tree, failure) }))
      .sort((one, other) => one.order - other.order);
    const current = tree.rows.at(active);
    const here =
      current === undefined
        ? -1
        : current.kind === "head"
          ? tree.rows.segments.indexOf(current.segment) * SPREAD
          : tree.rows.segments.indexOf(current.segment) * SPREAD + current.place + 1;
    const found = places.findIndex(({ order }) => order > here);
    const target = places[Math.max(found, 0)];
    if (target === undefined) return;
    setSaid(`Error ${places.indexOf(target) + 1} of ${places.length}`);
    goTo(tree, target.failure.query, target.failure.seq);
  }, [failures, tree, active]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "e" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented)
        return;
      const target = event.target instanceof Element ? event.target : null;
      if (target?.closest("input, textarea, select, [contenteditable], [role=dialog]") != null) return;
      next();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [next]);
  return { many: failures.length, next, said };
}

/** More than a query has entries: places in the tree as one number. */
const SPREAD = 1_000_000;

function orderOf(tree: Tree, failure: { query: string; seq: number }): number {
  const index = tree.rows.segments.findIndex((segment) => segment.name === failure.query);
  const place = tree.rows.segments[index]?.entries.findIndex((entry) => entry.seq === failure.seq) ?? -1;
  return index * SPREAD + place + 1;
}
