import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";
import styles from "./Conversation.module.css";
import { TurnView } from "./TurnView";
import type { Turn } from "./transcript";

const GUESS_PX = 120;

/** The turns, of which only those near the screen are drawn. Whoever is at the end stays there while more is said. */
export function Transcript({ turns, isRunning }: { turns: Turn[]; isRunning: boolean }) {
  const scroller = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(isRunning);
  const virtual = useVirtualizer({
    count: turns.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => GUESS_PX,
    getItemKey: (at) => turns[at]?.key ?? at,
    overscan: 4,
  });
  useEffect(() => {
    if (isAtEnd.current && turns.length > 0) virtual.scrollToIndex(turns.length - 1, { align: "end" });
  }, [turns, virtual]);
  return (
    <section
      ref={scroller}
      className={styles.scroller}
      aria-label="Messages"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be scrolled by keys
      tabIndex={0}
      onScroll={({ currentTarget: box }) => {
        isAtEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
      }}
    >
      <div className={styles.inner} style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((item) => {
          const turn = turns[item.index];
          return turn === undefined ? null : (
            <div
              key={item.key}
              ref={virtual.measureElement}
              data-index={item.index}
              className={styles.place}
              style={{ transform: `translateY(${item.start}px)` }}
            >
              <TurnView turn={turn} isContinued={isSame(turns[item.index - 1], turn)} />
            </div>
          );
        })}
      </div>
    </section>
  );
}

function isSame(before: Turn | undefined, turn: Turn): boolean {
  return before !== undefined && before.role === turn.role && before.name === turn.name;
}
