import { useVirtualizer } from "@tanstack/react-virtual";
import clsx from "clsx";
import { type KeyboardEvent, useEffect, useRef } from "react";
import { Link } from "react-router";
import type { Question } from "../../api/types";
import { ago, brief, dateTime, duration, moment } from "../../format";
import { Status } from "../../parts/Status";
import { useNow } from "../../parts/useNow";
import styles from "./Inbox.module.css";
import { type InboxRow, neighbour } from "./inboxRows";

interface Props {
  rows: InboxRow[];
  selected: string | undefined;
  onSelect(id: string): void;
  /** From the list into the answer. */
  onEnter(): void;
}

const HEADING_PX = 34;
const ROW_PX = 62;

/** The questions. One is always chosen: up and down (or k and j) go from one to the next, Enter goes to its answer. */
export function QuestionList({ rows, selected, onSelect, onEnter }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const now = useNow();
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: (at) => (rows[at]?.kind === "heading" ? HEADING_PX : ROW_PX),
    getItemKey: (at) => rows[at]?.key ?? at,
    overscan: 12,
  });
  const at = rows.findIndex((row) => row.key === selected);
  useEffect(() => {
    if (at !== -1) virtual.scrollToIndex(at, { align: "auto" });
  }, [at, virtual]);

  const go = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, Home: -1e6, End: 1e6 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const next = neighbour(rows, selected, step);
      if (next !== undefined) onSelect(next);
      scroller.current?.focus();
    } else if (event.key === "Enter" && event.target === scroller.current) {
      event.preventDefault();
      onEnter();
    }
  };

  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and takes the keys for its links
    <nav ref={scroller} className={styles.list} aria-label="Questions" tabIndex={0} onKeyDown={go}>
      <ul style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((item) => {
          const row = rows[item.index];
          if (row === undefined) return null;
          return (
            <li
              key={item.key}
              style={{ transform: `translateY(${item.start}px)`, height: item.size }}
              className={row.kind === "heading" ? styles.heading : undefined}
            >
              {row.kind === "heading" ? (
                <h2>
                  {row.title}{" "}
                  <span className={styles.count}>
                    {row.count.toLocaleString("en")}
                    {row.hasMore && " and more"}
                  </span>
                </h2>
              ) : (
                <Row question={row.question} isSelected={row.key === selected} now={now} />
              )}
            </li>
          );
        })}
      </ul>
    </nav>
  );
}

function Row({ question, isSelected, now }: { question: Question; isSelected: boolean; now: number }) {
  const isOpen = question.state === "open";
  const deadline = isOpen ? moment(question.deadline) : undefined;
  const since = isOpen ? question.askedAt : (question.endedAt ?? question.askedAt);
  return (
    <Link
      to={`?question=${encodeURIComponent(question.id)}`}
      className={clsx(styles.row, isSelected && styles.selected)}
      aria-current={isSelected ? "true" : undefined}
      tabIndex={-1}
    >
      <span className={styles.asked}>{brief(question.text ?? question.id, 120)}</span>
      <span className={styles.line}>
        {isOpen ? <span className={styles.dot} aria-hidden /> : <Status of={question.state} />}
        <span className={styles.who}>
          {brief(
            [question.askedBy, question.query ?? question.session]
              .filter((each) => each !== undefined)
              .join(" · "),
            80,
          )}
        </span>
        {deadline !== undefined && question.escalatedAt === undefined ? (
          <span className={styles.due}>due {deadline > now ? `in ${duration(deadline - now)}` : "now"}</span>
        ) : question.escalatedAt !== undefined && isOpen ? (
          <span className={styles.due}>escalated</span>
        ) : (
          <time dateTime={since} title={dateTime(since)}>
            {ago(since, now)}
          </time>
        )}
      </span>
    </Link>
  );
}
