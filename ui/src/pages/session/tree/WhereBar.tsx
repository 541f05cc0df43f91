import { ChevronUp } from "lucide-react";
import { printable } from "../../../format";
import { Status } from "../../../parts/Status";
import type { Rows } from "./rows";
import styles from "./tree.module.css";
import type { TreeVirtualizer } from "./useFollow";

interface Props {
  rows: Rows;
  virtual: TreeVirtualizer;
  onGo(name: string): void;
}

/** Says in which query one is where its head is out of sight. */
export function WhereBar({ rows, virtual, onGo }: Props) {
  const offset = virtual.scrollOffset ?? 0;
  const first = virtual.getVirtualItems().find((item) => item.end > offset + 1);
  const row = first === undefined ? undefined : rows.at(first.index);
  if (row === undefined || row.kind === "head") return null;
  const { name, query } = row.segment;
  return (
    <button type="button" className={styles.where} onClick={() => onGo(name)}>
      <ChevronUp size={14} aria-hidden />
      <span className={styles.name}>{query === undefined ? "Outside any query" : printable(name)}</span>
      {query !== undefined && <Status of={query.phase} />}
      <span className="visually-hidden">: go to its beginning</span>
    </button>
  );
}
