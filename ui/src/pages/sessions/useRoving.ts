import { useCallback, useLayoutEffect, useRef } from "react";

/** Keys that move within the list, and by how many rows. */
export function stepFor(key: string, page: number): number | undefined {
  switch (key) {
    case "ArrowDown":
      return 1;
    case "ArrowUp":
      return -1;
    case "PageDown":
      return page;
    case "PageUp":
      return -page;
    case "Home":
      return Number.NEGATIVE_INFINITY;
    case "End":
      return Number.POSITIVE_INFINITY;
    default:
      return undefined;
  }
}

/** The focus among rows of which only some are in the page: `go` brings a row into it, then its link is focused. */
export function useRoving(order: readonly string[], place: number, go: (index: number) => void) {
  const links = useRef(new Map<string, HTMLAnchorElement>());
  const wanted = useRef<string>(undefined);
  const latest = useRef({ order, place, go });
  latest.current = { order, place, go };

  useLayoutEffect(() => {
    const link = wanted.current === undefined ? undefined : links.current.get(wanted.current);
    if (link === undefined) return;
    wanted.current = undefined;
    link.focus({ preventScroll: true });
  });

  const move = useCallback((rows: number) => {
    const { order: all, place: from, go: bring } = latest.current;
    if (all.length === 0) return;
    const hasFocus = links.current.get(all[from] ?? "") === document.activeElement;
    // Who comes back to the list goes on where they were.
    const to = from < 0 ? 0 : hasFocus ? Math.min(Math.max(from + rows, 0), all.length - 1) : from;
    wanted.current = all[to];
    bring(to);
    if (to === from) links.current.get(all[to] ?? "")?.focus({ preventScroll: true });
  }, []);

  const focus = useCallback((id: string | undefined) => {
    wanted.current = id;
  }, []);

  const register = useCallback((id: string, link: HTMLAnchorElement | null) => {
    if (link === null) links.current.delete(id);
    else links.current.set(id, link);
  }, []);

  return { move, focus, register };
}
