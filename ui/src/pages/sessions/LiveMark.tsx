import clsx from "clsx";
import type { LiveState } from "../../live/stream";
import styles from "./Sessions.module.css";

const WORDS: Record<LiveState, string> = {
  live: "Live",
  connecting: "Connecting",
  away: "Reconnecting",
  closed: "Not live",
};

/** Whether what is shown is what is. */
export function LiveMark({ state }: { state: LiveState }) {
  return (
    <span
      className={clsx(styles.mark, state === "live" && styles.markLive, state === "away" && styles.markAway)}
    >
      <span role="status">{WORDS[state]}</span>
    </span>
  );
}
