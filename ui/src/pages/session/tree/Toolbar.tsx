import { ArrowDownToLine, ChevronsDownUp, ChevronsUpDown, CircleAlert } from "lucide-react";
import { count } from "../../../format";
import { Button } from "../../../parts/Button";
import type { Rows } from "./rows";
import styles from "./tree.module.css";
import type { Errors } from "./useErrors";
import type { Follow } from "./useFollow";
import type { TreeState } from "./useTreeState";

interface Props {
  rows: Rows;
  state: TreeState;
  errors: Errors;
  follow: Follow;
}

export function Toolbar({ rows, state, errors, follow }: Props) {
  const isAnyOpen = rows.segments.some((segment) => segment.isOpen);
  return (
    <div className={styles.toolbar} role="toolbar" aria-label="Tree">
      <Button
        aria-pressed={follow.isFollowing}
        className={follow.isFollowing ? styles.pressed : undefined}
        onClick={follow.isFollowing ? follow.stop : follow.start}
        title="Keep the newest row in view"
      >
        <ArrowDownToLine size={14} aria-hidden /> {follow.isFollowing ? "Following" : "Follow"}
      </Button>
      <Button onClick={() => state.setAllQueries(!isAnyOpen)}>
        {isAnyOpen ? <ChevronsDownUp size={14} aria-hidden /> : <ChevronsUpDown size={14} aria-hidden />}
        {isAnyOpen ? "Collapse all" : "Expand all"}
      </Button>
      {errors.many > 0 && (
        <Button className={styles.errorButton} onClick={errors.next} aria-keyshortcuts="e">
          <CircleAlert size={14} aria-hidden /> Next error <kbd>e</kbd>
        </Button>
      )}
      <span className={styles.many}>
        {count(rows.segments.length)} {rows.segments.length === 1 ? "query" : "queries"} · {count(rows.count)}{" "}
        rows
      </span>
      {follow.isBehind && (
        <Button primary className={styles.jump} onClick={follow.start}>
          <ArrowDownToLine size={14} aria-hidden /> Jump to now
        </Button>
      )}
    </div>
  );
}
