import clsx from "clsx";
import styles from "./parts.module.css";

const LOOKS: Record<string, string | undefined> = {
  active: styles.live,
  running: styles.live,
  waiting: styles.warn,
  open: styles.warn,
  pending: styles.idle,
  idle: styles.idle,
  done: styles.ok,
  answered: styles.ok,
  error: styles.bad,
  canceled: styles.idle,
  expired: styles.idle,
};

/** A status or phase: its word, and a colour that is never the only sign. */
export function Status({ of }: { of: string }) {
  return <span className={clsx(styles.status, LOOKS[of] ?? styles.idle)}>{of}</span>;
}
