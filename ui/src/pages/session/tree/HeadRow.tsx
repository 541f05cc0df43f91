import { ChartNoAxesGantt, ChevronRight, CircleAlert } from "lucide-react";
import { memo } from "react";
import { Link } from "react-router";
import { brief, clock, count, dateTime, dollars, duration, printable } from "../../../format";
import { isFailed } from "../../../live/kinds";
import { Status } from "../../../parts/Status";
import type { Segment } from "./rows";
import styles from "./tree.module.css";

interface Props {
  index: number;
  isActive: boolean;
  session: string;
  segment: Segment;
}

/** The way to the span that failed the query, else to the first thing that went wrong in it. */
function failureIn(session: string, { name, query, entries }: Segment): string {
  const span = query?.errorSpan;
  const failed =
    entries.find((entry) => span !== undefined && entry.spanId === span) ?? entries.find(isFailed);
  const place = failed?.seq === undefined ? "" : `&event=${failed.seq}`;
  return `/ui/sessions/${encodeURIComponent(session)}?query=${encodeURIComponent(name)}${place}`;
}

/** The head of a query: its phase, what it took, and what went wrong. */
export const HeadRow = memo(
  function HeadRow({ index, isActive, session, segment }: Props) {
    const { name, query, entries, isOpen } = segment;
    const used = query === undefined ? 0 : query.tokens.input + query.tokens.output;
    return (
      // biome-ignore lint/a11y/useFocusableInteractive: the tree has the focus, and names its active row
      <div
        id={`row-${index}`}
        role="treeitem"
        aria-level={1}
        aria-expanded={isOpen}
        aria-selected={isActive}
        className={styles.head}
      >
        <ChevronRight size={16} aria-hidden className={isOpen ? styles.opened : styles.closed} />
        <span className={styles.name} title={printable(name)}>
          {query === undefined ? "Outside any query" : printable(name)}
        </span>
        {query !== undefined && <Status of={query.phase} />}
        {query?.error !== undefined && (
          <Link
            tabIndex={-1}
            replace
            className={styles.headError}
            title={brief(query.error, 1000)}
            to={failureIn(session, segment)}
          >
            <CircleAlert size={14} aria-hidden /> <span>{brief(query.error, 300)}</span>
          </Link>
        )}
        <span className={styles.headFigures}>
          {!isOpen && <span>{count(entries.length)} entries</span>}
          {used > 0 && <span className={styles.wide}>{count(used)} tokens</span>}
          {query?.cost !== undefined && <span className={styles.wide}>{dollars(query.cost)}</span>}
          {query?.duration !== undefined && <span>{duration(query.duration)}</span>}
          <time className={styles.time} dateTime={query?.startedAt} title={dateTime(query?.startedAt)}>
            {clock(query?.startedAt)}
          </time>
          {query !== undefined && (
            <Link
              tabIndex={-1}
              className={styles.icon}
              aria-label={`Timeline of ${printable(name)}`}
              title="Timeline"
              to={`/ui/sessions/${encodeURIComponent(session)}/timeline?query=${encodeURIComponent(name)}`}
            >
              <ChartNoAxesGantt size={15} aria-hidden />
            </Link>
          )}
        </span>
      </div>
    );
  },
  (one, other) =>
    one.index === other.index &&
    one.isActive === other.isActive &&
    one.session === other.session &&
    one.segment.query === other.segment.query &&
    one.segment.isOpen === other.segment.isOpen &&
    one.segment.entries.length === other.segment.entries.length,
);
