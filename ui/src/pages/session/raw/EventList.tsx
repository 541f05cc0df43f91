import { useVirtualizer } from "@tanstack/react-virtual";
import clsx from "clsx";
import { type KeyboardEvent, useEffect, useRef } from "react";
import type { StoredEvent } from "../../../api/types";
import { brief, clock } from "../../../format";
import { contentOf, textOfChunk } from "../../../live/content";
import { positionOf } from "../../../live/fold";
import styles from "./Raw.module.css";
import type { EventLog } from "./useEventLog";

interface Props {
  log: EventLog;
  /** By its position in the session. */
  selected: number | undefined;
  /** Stay at the end while more comes. */
  isFollowing: boolean;
  onFollow(isFollowing: boolean): void;
  onSelect(position: number): void;
}

const ROW_PX = 28;
/** The next page is read this many rows before it is needed. */
const AHEAD = 80;
const STEPS: Readonly<Record<string, number>> = {
  ArrowDown: 1,
  j: 1,
  ArrowUp: -1,
  k: -1,
  PageDown: 15,
  PageUp: -15,
  Home: -1e9,
  End: 1e9,
};

/** The events, one a row. Up and down choose one. */
export function EventList({ log, selected, isFollowing, onFollow, onSelect }: Props) {
  const { events, more, isLoading, error, load } = log;
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: events.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
  });
  const lastSeen = virtual.getVirtualItems().at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && !isLoading && error === undefined && lastSeen > events.length - AHEAD) load();
  }, [more, isLoading, error, lastSeen, events.length, load]);
  useEffect(() => {
    if (isFollowing && events.length > 0) virtual.scrollToIndex(events.length - 1, { align: "end" });
  }, [isFollowing, events.length, virtual]);
  const at = events.findIndex((event) => positionOf(event) === selected);
  const isThere = at !== -1;
  useEffect(() => {
    if (isThere) virtual.scrollToIndex(at, { align: "auto" });
  }, [at, isThere, virtual]);

  const press = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const next = events[Math.min(events.length - 1, Math.max(0, at + step))];
    if (next !== undefined) onSelect(positionOf(next));
  };
  const isAtEnd = () => {
    const box = scroller.current;
    return box !== null && box.scrollHeight - box.scrollTop - box.clientHeight < ROW_PX * 2;
  };

  return (
    <div
      ref={scroller}
      className={styles.list}
      role="listbox"
      aria-label="Events"
      tabIndex={0}
      aria-activedescendant={isThere ? `event-${selected}` : undefined}
      onKeyDown={press}
      // Only what a person does begins or ends the following: rows that are added scroll too.
      onWheel={() => requestAnimationFrame(() => onFollow(isAtEnd() && !more))}
      onPointerUp={() => onFollow(isAtEnd() && !more)}
    >
      <div className={styles.inner} style={{ height: virtual.getTotalSize() }} role="presentation">
        {virtual.getVirtualItems().map((item) => {
          const event = events[item.index];
          if (event === undefined) return null;
          const position = positionOf(event);
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the list takes the keys for its rows
            <div
              key={item.key}
              id={`event-${position}`}
              className={clsx(styles.row, position === selected && styles.selected)}
              style={{ transform: `translateY(${item.start}px)` }}
              role="option"
              tabIndex={-1}
              aria-selected={position === selected}
              onClick={() => onSelect(position)}
            >
              <Cells event={event} />
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Cells({ event }: { event: StoredEvent }) {
  const isError = event.error !== undefined || event.status === "error";
  return (
    <>
      <span className={styles.seq}>{positionOf(event)}</span>
      <span className={styles.time}>{clock(event.time)}</span>
      <span className={clsx(styles.type, isError && styles.isError)}>
        {isError && <span aria-hidden>✕ </span>}
        {brief(event.type, 60)}
      </span>
      <span className={styles.kind}>{event.kind}</span>
      <span className={styles.query}>{brief(event.query ?? "", 60)}</span>
      <span className={styles.about}>{aboutOf(event)}</span>
    </>
  );
}

function aboutOf(event: StoredEvent): string {
  const text = event.kind === "chunk" ? textOfChunk(event.body) : contentOf(event).message;
  const said = [
    event.agent,
    event.tool ?? event.model,
    event.error,
    text && JSON.stringify(text.slice(0, 200)),
  ];
  return brief(said.filter((each) => each).join(" · "), 140);
}
