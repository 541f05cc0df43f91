import type { KeyboardEvent } from "react";
import type { Row } from "./rows";
import type { Tree } from "./useSelection";

const PAGE = 15;

/** The keys of a tree: up and down, right to open, left to close or to go to the query, Home, End, Enter. */
export function useTreeKeys(
  tree: Tree,
  active: number,
  address: (row: Row) => void,
): (event: KeyboardEvent) => void {
  const { rows, state, virtual } = tree;
  const choose = (index: number) => {
    const at = Math.max(0, Math.min(rows.count - 1, index));
    tree.stop();
    state.setActive({ key: rows.keyAt(at), index: at });
    virtual.scrollToIndex(at, { align: "auto" });
  };
  const toggle = (isOpen: boolean | undefined) => {
    const row = rows.at(active);
    if (row === undefined) return;
    const was = row.kind === "head" ? row.segment.isOpen : state.isExpanded(row);
    if (isOpen === undefined || was !== isOpen) {
      state.toggle(row.key, row);
      address(row);
    } else if (isOpen) choose(active + 1);
    else if (row.kind === "entry") choose(row.segment.start);
  };
  const act = (key: string): boolean => {
    if (key === "ArrowDown") choose(active + 1);
    else if (key === "ArrowUp") choose(active < 0 ? 0 : active - 1);
    else if (key === "PageDown") choose(active + PAGE);
    else if (key === "PageUp") choose(active - PAGE);
    else if (key === "Home") choose(0);
    else if (key === "End") choose(rows.count - 1);
    else if (key === "ArrowRight") toggle(true);
    else if (key === "ArrowLeft") toggle(false);
    else if (key === "Enter" || key === " ") toggle(undefined);
    else return false;
    return true;
  };
  return (event) => {
    // What stands in a row has keys of its own.
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    if (act(event.key)) event.preventDefault();
  };
}
