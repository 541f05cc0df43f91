import { brief } from "../../format";
import styles from "./Overview.module.css";
import { span } from "./ranges";
import type { Series } from "./series";

interface Props {
  at: string;
  bucket: number;
  /** Keys of series, and their values. */
  values: readonly (readonly [string, number])[];
  series: readonly Series[];
  format(value: number): string;
  isSum: boolean;
}

/** What a bar or a point of a chart says. */
export function Tip({ at, bucket, values, series, format, isSum }: Props) {
  const found = new Map(values.filter(([, value]) => value > 0));
  const sum = [...found.values()].reduce((all, value) => all + value, 0);
  return (
    <div className={styles.tip}>
      <div className={styles.tipTime}>{span(at, bucket)}</div>
      {series.map(({ key, label }) => {
        const value = found.get(key);
        if (value === undefined) return null;
        return (
          <div key={key} className={styles.tipRow}>
            <Swatch of={key} />
            <span className={styles.tipName}>{brief(label, 40)}</span>
            <span>{format(value)}</span>
          </div>
        );
      })}
      {found.size === 0 && <div className={styles.of}>nothing</div>}
      {isSum && found.size > 1 && (
        <div className={styles.tipRow}>
          <span className={styles.tipName}>all</span>
          <span>{format(sum)}</span>
        </div>
      )}
    </div>
  );
}

/** The colour of a series. */
export function Swatch({ of }: { of: string }) {
  return <span className={styles.swatch} style={{ background: `var(--${of})` }} aria-hidden="true" />;
}
