import { defaultRangeExtractor, type Range, useVirtualizer } from "@tanstack/react-virtual";
import clsx from "clsx";
import { ArrowUp } from "lucide-react";
import {
  type KeyboardEvent,
  type MouseEvent,
  type RefObject,
  useCallback,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { Button } from "../../parts/Button";
import { useNow } from "../../parts/useNow";
import { newer, settle } from "./list";
import { COLUMNS, SessionRow } from "./SessionRow";
import styles from "./Sessions.module.css";
import { useHeld } from "./useHeld";
import { useMedia } from "./useMedia";
import { stepFor, useRoving } from "./useRoving";
import type { LiveList } from "./useSessionList";

const ROW_HEIGHT = 50;
const CARD_HEIGHT = 130;
const HEADER_HEIGHT = 32;
/** The next page is asked for this many rows before the end. */
const AHEAD = 15;

/** Moves the focus in the list by so many rows. */
export interface Mover {
  move(rows: number): void;
}

/** The sessions that are loaded, of which only those in sight are in the page. */
export function SessionGrid({ live, mover }: { live: LiveList; mover: RefObject<Mover | null> }) {
  const { list, loadMore } = live;
  const { order } = list;
  const waiting = useMemo(() => newer(list), [list]);
  const now = useNow(1000);
  const isNarrow = useMedia("(max-width: 760px)");
  const height = isNarrow ? CARD_HEIGHT : ROW_HEIGHT;
  const header = isNarrow ? 0 : HEADER_HEIGHT;
  const scroller = useRef<HTMLDivElement>(null);
  const held = useHeld(live.setFrozen);
  const [current, setCurrent] = useState<string>();
  const place = current === undefined ? -1 : order.indexOf(current);

  const virtualizer = useVirtualizer({
    count: order.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    getItemKey: (index) => order[index] ?? index,
    overscan: 6,
    scrollMargin: header,
    scrollPaddingStart: header,
    // The row that has the focus stays in the page wherever it is scrolled to.
    rangeExtractor: useCallback(
      (range: Range) => {
        const shown = defaultRangeExtractor(range);
        return place < 0 || shown.includes(place)
          ? shown
          : [...shown, place].sort((one, other) => one - other);
      },
      [place],
    ),
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: measured again when rows become cards
  useEffect(() => {
    virtualizer.measure();
  }, [height, virtualizer]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another list is looked at from its beginning
  useEffect(() => {
    scroller.current?.scrollTo({ top: 0 });
  }, [live.filters]);

  const shown = virtualizer.getVirtualItems();
  const last = shown.at(-1)?.index ?? -1;
  const needsMore = list.next !== undefined && last >= order.length - AHEAD && live.moreError === undefined;
  useEffect(() => {
    if (needsMore && !live.isLoadingMore) loadMore();
  }, [needsMore, live.isLoadingMore, loadMore]);

  const roving = useRoving(order, place, (index) => {
    setCurrent(order[index]);
    virtualizer.scrollToIndex(index, { align: "auto" });
  });
  useEffect(() => {
    mover.current = { move: roving.move };
    return () => {
      mover.current = null;
    };
  }, [mover, roving.move]);

  const showNewer = (event: MouseEvent) => {
    live.settle();
    scroller.current?.scrollTo({ top: 0 });
    // The button goes away; who pressed it by the keyboard goes on at the top.
    if (event.detail === 0) roving.focus(settle(list).order[0]);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = stepFor(
      event.key,
      Math.max(1, Math.floor((scroller.current?.clientHeight ?? 0) / height) - 1),
    );
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    roving.move(step);
  };

  return (
    <div className={styles.frame} {...held.whilePointed}>
      <Newer count={waiting} hasMore={list.cut !== undefined} show={showNewer} />
      <div
        ref={scroller}
        className={styles.scroller}
        onScroll={(event) => held.scrolled(event.currentTarget.scrollTop > 4)}
      >
        <table
          className={styles.table}
          aria-label="Sessions"
          aria-rowcount={list.next === undefined ? order.length + 1 : -1}
          aria-colcount={COLUMNS.length}
          aria-busy={live.isStale || live.isLoadingMore}
        >
          <thead className={styles.head}>
            <tr aria-rowindex={1} className={styles.headRow}>
              {COLUMNS.map((column) => (
                <th scope="col" key={column.key} className={clsx(styles.cell, column.look)}>
                  {column.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody
            className={styles.body}
            style={{ height: virtualizer.getTotalSize() }}
            onKeyDown={onKeyDown}
            {...held.whileFocused}
          >
            {shown.map(({ index, start }) => {
              const row = list.rows.get(order[index] ?? "");
              if (row === undefined) return null;
              const { id } = row.session;
              return (
                <SessionRow
                  key={id}
                  row={row}
                  index={index}
                  top={start - header}
                  height={height}
                  now={now}
                  isCurrent={place === index || (place < 0 && index === 0)}
                  register={roving.register}
                  onFocus={setCurrent}
                />
              );
            })}
          </tbody>
        </table>
        <More live={live} />
      </div>
    </div>
  );
}

/** What waits until the order may change. */
function Newer({
  count,
  hasMore,
  show,
}: {
  count: number;
  hasMore: boolean;
  show: (event: MouseEvent) => void;
}) {
  return (
    <div className={styles.newer} aria-live="polite">
      {count > 0 && (
        <Button primary onClick={show}>
          <ArrowUp size={14} aria-hidden /> {count}
          {hasMore && "+"} newer
        </Button>
      )}
    </div>
  );
}

function More({ live }: { live: LiveList }) {
  if (live.moreError !== undefined) {
    return (
      <p className={styles.more} role="alert">
        {live.moreError.message} <Button onClick={live.loadMore}>Try again</Button>
      </p>
    );
  }
  return live.list.next === undefined ? null : <p className={styles.more}>Loading more …</p>;
}
