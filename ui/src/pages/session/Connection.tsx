import clsx from "clsx";
import { count } from "../../format";
import type { LiveState } from "../../live/stream";
import styles from "./Session.module.css";

const WORDS: Record<LiveState, string> = {
  connecting: "Connecting…",
  live: "Live",
  away: "Offline, reconnecting…",
  closed: "Not connected",
};

interface Props {
  state: LiveState;
  isPaused: boolean;
  held: number;
}

/** Whether what is shown is what is. */
export function Connection({ state, isPaused, held }: Props) {
  return (
    <span
      className={clsx(styles.connection, isPaused ? styles.paused : styles[state])}
      role="status"
      aria-label={isPaused ? "Paused" : WORDS[state]}
    >
      {isPaused ? `Paused · ${count(held)} new` : WORDS[state]}
    </span>
  );
}
