import styles from "./Sessions.module.css";

const HEIGHT = 20;
const STEP = 4;
const BAR = 3;
/** A session with fewer slices than this does not fill the width: its bars would be blocks. */
const FEWEST = 16;

/** Events over a session's life, as bars. The square root keeps quiet times visible beside bursts. */
export function Sparkline({ activity }: { activity: readonly number[] }) {
  const most = Math.sqrt(Math.max(...activity, 1));
  return (
    <svg
      className={styles.spark}
      viewBox={`0 0 ${Math.max(activity.length, FEWEST) * STEP} ${HEIGHT}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      {activity.map((events, slice) => {
        const height = events === 0 ? 1 : Math.max(2, (Math.sqrt(events) / most) * HEIGHT);
        return (
          <rect
            // biome-ignore lint/suspicious/noArrayIndexKey: a slice is its place
            key={slice}
            className={events === 0 ? styles.sparkQuiet : undefined}
            x={slice * STEP}
            y={HEIGHT - height}
            width={BAR}
            height={height}
          />
        );
      })}
    </svg>
  );
}
