import clsx from "clsx";
import { count, dollars, duration, printable } from "../../../format";
import { type Row, tokensPerSecond } from "./layout";
import { LOOKS } from "./looks";
import styles from "./Timeline.module.css";
import type { Window } from "./window";

interface Props {
  row: Row;
  window: Window;
  now: number;
}

/** A row's bar on the track, and its figures beside it. */
export function Bar({ row, window, now }: Props) {
  const end = row.end ?? Math.max(now, row.start);
  const share = (time: number) => ((time - window.from) / (window.to - window.from)) * 100;
  const left = Math.max(-1, share(row.start));
  const right = Math.min(101, share(end));
  const first = row.firstToken === undefined ? undefined : share(row.start + row.firstToken);
  const isSeen = right >= 0 && left <= 100;
  const side = right < 72 ? "after" : left > 28 ? "before" : "inside";
  return (
    <div className={styles.track}>
      {isSeen && (
        <>
          {first !== undefined && first > left && (
            <span
              className={styles.untilFirst}
              style={{ left: `${left}%`, width: `${Math.min(first, right) - left}%` }}
            />
          )}
          <span
            className={clsx(
              styles.bar,
              row.kind === "stream" ? styles.barStream : LOOKS[row.category].bar,
              row.error !== undefined && styles.barError,
              row.end === undefined && styles.barRunning,
            )}
            style={barPlace(left, right, first)}
          />
          {first !== undefined && first >= 0 && first <= 100 && (
            <span className={styles.first} style={{ left: `${first}%` }} />
          )}
          {row.marks.slice(0, 50).map((mark) => (
            <span
              key={mark.event.seq}
              className={styles.mark}
              style={{ left: `${share(mark.time)}%` }}
              title={printable(mark.event.type)}
            />
          ))}
          <span
            className={clsx(styles.figures, styles[side])}
            style={
              side === "after"
                ? { left: `${Math.max(0, right)}%` }
                : side === "before"
                  ? { right: `${100 - Math.min(100, left)}%` }
                  : { right: `${100 - Math.min(100, right)}%` }
            }
          >
            {figures(row, end)}
          </span>
        </>
      )}
      {!isSeen && (
        <span className={clsx(styles.figures, right < 0 ? styles.goneLeft : styles.goneRight)}>
          {right < 0 ? "◂" : "▸"}
        </span>
      )}
    </div>
  );
}

function barPlace(left: number, right: number, first: number | undefined) {
  // Until the first token nothing is said: that part is drawn apart.
  const from = first !== undefined && first > left ? Math.min(first, right) : left;
  return { left: `${from}%`, width: `${Math.max(0, right - from)}%` };
}

/** Shorter self times than this part of the whole are not worth a word. */
const NOTABLE = 0.98;

function figures(row: Row, end: number): string {
  const length = end - row.start;
  const parts = [duration(length)];
  if (row.end === undefined) parts[0] = `${parts[0]} …`;
  if (row.below > 0 && row.selfTime !== undefined && row.selfTime < length * NOTABLE) {
    parts.push(`self ${duration(row.selfTime)}`);
  }
  const speed = tokensPerSecond(row);
  if (speed !== undefined) parts.push(`${count(speed)} tok/s`);
  if (row.cost !== undefined) parts.push(dollars(row.cost));
  return parts.join(" · ");
}
