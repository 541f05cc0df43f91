import { type PointerEvent, useEffect, useRef, useState } from "react";
import styles from "./Timeline.module.css";
import { tickLabel, ticks, type Window } from "./window";

interface Props {
  window: Window;
  origin: number;
  /** Dragged by this share of the window. */
  onDrag(share: number): void;
}

const PX_A_TICK = 90;

/** The time since the beginning; it can be dragged. */
export function Ruler({ window, origin, onDrag }: Props) {
  const element = useRef<HTMLDivElement>(null);
  const last = useRef<number>(undefined);
  const [width, setWidth] = useState(600);
  useEffect(() => {
    if (element.current === null) return;
    const observer = new ResizeObserver(([entry]) => setWidth(entry?.contentRect.width ?? 600));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  const at = ticks(window, origin, Math.max(2, Math.floor(width / PX_A_TICK)));
  const step = at.length > 1 ? Math.abs((at[1] ?? 0) - (at[0] ?? 0)) : 1;
  const share = (ms: number) => ((origin + ms - window.from) / (window.to - window.from)) * 100;
  const drag = (event: PointerEvent) => {
    if (last.current === undefined) return;
    onDrag((last.current - event.clientX) / Math.max(1, width));
    last.current = event.clientX;
  };
  return (
    <div
      ref={element}
      className={styles.ruler}
      aria-hidden
      onPointerDown={(event) => {
        last.current = event.clientX;
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={drag}
      onPointerUp={() => {
        last.current = undefined;
      }}
    >
      {at.map((ms) => (
        <span key={ms} className={styles.tick} style={{ left: `${share(ms)}%` }}>
          {share(ms) < 96 ? tickLabel(ms, step) : ""}
        </span>
      ))}
    </div>
  );
}
