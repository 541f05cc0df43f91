import { useRef } from "react";
import type { Rows } from "./rows";
import type { Active } from "./useTreeState";

/** Where a row is by now; -1 where it is nowhere. It is looked for only where it has moved. */
export function usePlace(rows: Rows, row: Active | undefined): number {
  const last = useRef<Active>(undefined);
  if (row === undefined) return -1;
  const hint = last.current?.key === row.key ? last.current.index : row.index;
  const index = rows.find(row.key, hint >= 0 ? hint : row.index);
  last.current = { key: row.key, index };
  return index;
}
