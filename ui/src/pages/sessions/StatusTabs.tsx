import clsx from "clsx";
import type { SessionStatus } from "../../api/types";
import { count } from "../../format";
import { STATUSES } from "./filters";
import styles from "./Sessions.module.css";
import type { StatusCounts } from "./useStatusCounts";

const DOTS: Record<SessionStatus, string | undefined> = {
  active: styles.live,
  waiting: styles.warn,
  error: styles.bad,
  idle: styles.quiet,
};

interface Props {
  counts: StatusCounts;
  chosen: SessionStatus | undefined;
  choose(status: SessionStatus | undefined): void;
}

/** Sessions by status: how many, and only those at a click. */
export function StatusTabs({ counts, chosen, choose }: Props) {
  return (
    <fieldset className={styles.statuses}>
      <legend className="visually-hidden">Status</legend>
      {[undefined, ...STATUSES].map((status) => (
        <button
          key={status ?? "all"}
          type="button"
          aria-pressed={chosen === status}
          className={styles.statusTab}
          onClick={() => choose(status)}
        >
          {status !== undefined && <span className={clsx(styles.dot, DOTS[status])} aria-hidden="true" />}
          {status ?? "all"}
          <span className={styles.tabCount}>{count(counts[status ?? "all"])}</span>
        </button>
      ))}
    </fieldset>
  );
}
