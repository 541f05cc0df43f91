import { useVirtualizer } from "@tanstack/react-virtual";
import clsx from "clsx";
import { ChevronDown, ChevronRight, CircleAlert } from "lucide-react";
import { type KeyboardEvent, useEffect, useMemo, useRef } from "react";
import { brief } from "../../../format";
import { Bar } from "./Bar";
import type { Row, Timeline } from "./layout";
import { CategoryIcon, wordOf } from "./looks";
import { Ruler } from "./Ruler";
import styles from "./Timeline.module.css";
import type { Zoom } from "./useZoom";

interface Props {
  timeline: Timeline;
  /** Positions of the rows that are seen. */
  shown: number[];
  closed: ReadonlySet<string>;
  selected: string | undefined;
  zoom: Zoom;
  now: number;
  onSelect(id: string): void;
  onToggle(id: string, isOpen?: boolean): void;
}

const ROW_PX = 28;
const DEEPEST_INDENT = 12;
/** Rows that a key goes down. */
const STEPS: Readonly<Record<string, number>> = {
  ArrowDown: 1,
  ArrowUp: -1,
  PageDown: 15,
  PageUp: -15,
  Home: -1e6,
  End: 1e6,
};

/** The rows. Up and down choose one, left and right close and open it, + - and 0 zoom. */
export function Waterfall(props: Props) {
  const { timeline, shown, selected, zoom, onSelect, onToggle } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: 10,
  });
  const spans = useMemo(() => timeline.rows.filter((row) => row.kind === "span").length, [timeline]);
  const at = shown.findIndex((position) => timeline.rows[position]?.id === selected);
  const isThere = at !== -1;
  // Once for each choice: rows that come later do not pull the page back.
  // biome-ignore lint/correctness/useExhaustiveDependencies: `at` moves with every new row above
  useEffect(() => {
    if (isThere) virtual.scrollToIndex(at, { align: "auto" });
  }, [selected, isThere, virtual]);
  useWheel(scroller, zoom);

  const press = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const row = timeline.rows[shown[at] ?? -1];
    const go = (to: number) => {
      const next = timeline.rows[shown[Math.min(shown.length - 1, Math.max(0, to))] ?? -1];
      if (next === undefined) return;
      onSelect(next.id);
      // A long bar that is partly seen stays where it is.
      if (next.start > zoom.window.to || (next.end ?? props.now) < zoom.window.from) zoom.reveal(next.start);
    };
    const close = () => {
      if (row === undefined) return;
      if (row.below > 0 && !props.closed.has(row.id)) onToggle(row.id, false);
      else if (row.parent !== -1) go(shown.indexOf(row.parent));
    };
    const steps = STEPS[event.key];
    if (steps !== undefined) go(at + steps);
    else if (event.key === "ArrowLeft") close();
    else if (event.key === "ArrowRight" && row !== undefined && props.closed.has(row.id))
      onToggle(row.id, true);
    else if (event.key === "ArrowRight") go(at + 1);
    else if (event.key === "+" || event.key === "=") zoom.by(0.5);
    else if (event.key === "-") zoom.by(2);
    else if (event.key === "0") zoom.fit();
    else return;
    event.preventDefault();
  };

  return (
    <div className={styles.waterfall}>
      <div className={styles.head}>
        <span className={styles.headName}>
          {spans} {spans === 1 ? "span" : "spans"}
        </span>
        <Ruler window={zoom.window} origin={timeline.start} onDrag={zoom.move} />
      </div>
      <div
        ref={scroller}
        className={styles.rows}
        role="tree"
        aria-label="Spans by time"
        tabIndex={0}
        aria-activedescendant={isThere ? `span-${selected}` : undefined}
        onKeyDown={press}
      >
        <div className={styles.inner} style={{ height: virtual.getTotalSize() }} role="presentation">
          {virtual.getVirtualItems().map((item) => {
            const row = timeline.rows[shown[item.index] ?? -1];
            if (row === undefined) return null;
            return <RowView key={row.id} row={row} top={item.start} {...props} />;
          })}
        </div>
      </div>
    </div>
  );
}

interface RowProps extends Props {
  row: Row;
  top: number;
}

function RowView({ row, top, closed, selected, zoom, now, onSelect, onToggle }: RowProps) {
  const isOpen = !closed.has(row.id);
  const name = brief(row.name === "" ? row.type : row.name, 80);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree takes the keys for its rows
    <div
      id={`span-${row.id}`}
      className={clsx(styles.row, row.id === selected && styles.selected)}
      style={{ transform: `translateY(${top}px)` }}
      role="treeitem"
      tabIndex={-1}
      aria-level={row.depth + 1}
      aria-selected={row.id === selected}
      aria-expanded={row.below > 0 ? isOpen : undefined}
      onClick={() => onSelect(row.id)}
    >
      <span className={styles.name} style={{ paddingLeft: 8 + Math.min(row.depth, DEEPEST_INDENT) * 14 }}>
        {row.below > 0 ? (
          <button
            type="button"
            className={styles.toggle}
            tabIndex={-1}
            aria-hidden
            onClick={(event) => {
              event.stopPropagation();
              onToggle(row.id);
            }}
          >
            {isOpen ? <ChevronDown size={14} /> : <ChevronRight size={14} />}
          </button>
        ) : (
          <span className={styles.noToggle} />
        )}
        <CategoryIcon row={row} />
        <span className="visually-hidden">
          {wordOf(row)}
          {row.error === undefined ? "" : ", failed"}:
        </span>
        <span className={styles.nameText}>{name}</span>
        {!isOpen && <span className={styles.belowCount}>{row.below}</span>}
        {row.error !== undefined && <CircleAlert size={13} className={styles.errorIcon} aria-hidden />}
      </span>
      <Bar row={row} window={zoom.window} now={now} />
    </div>
  );
}

/** The wheel with Ctrl zooms around the pointer, with Shift (or sideways) it moves along the time. */
function useWheel(element: React.RefObject<HTMLDivElement | null>, zoom: Zoom): void {
  const newest = useRef(zoom);
  useEffect(() => {
    newest.current = zoom;
  });
  useEffect(() => {
    const scroller = element.current;
    if (scroller === null) return;
    const turn = (event: WheelEvent) => {
      const track = scroller.querySelector(`.${styles.track}`)?.getBoundingClientRect();
      if (track === undefined || track.width === 0) return;
      const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      if (event.ctrlKey || event.metaKey) {
        const focus = Math.min(1, Math.max(0, (event.clientX - track.left) / track.width));
        newest.current.by(Math.exp(Math.min(60, Math.max(-60, event.deltaY)) / 120), focus);
      } else if (Math.abs(sideways) > (event.shiftKey ? 0 : Math.abs(event.deltaY))) {
        newest.current.move(sideways / track.width);
      } else {
        return;
      }
      event.preventDefault();
    };
    // React's own wheel listeners may not prevent the browser's zoom.
    scroller.addEventListener("wheel", turn, { passive: false });
    return () => scroller.removeEventListener("wheel", turn);
  }, [element]);
}
