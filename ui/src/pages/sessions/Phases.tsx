import { Ban, Check, CircleDashed, Hourglass, type LucideIcon, Play, TriangleAlert, X } from "lucide-react";
import type { Counts, Phase } from "../../api/types";
import { count } from "../../format";
import styles from "./Sessions.module.css";

const LOOKS: readonly { phase: Phase; Icon: LucideIcon; look: string | undefined }[] = [
  { phase: "running", Icon: Play, look: styles.live },
  { phase: "waiting", Icon: Hourglass, look: styles.warn },
  { phase: "pending", Icon: CircleDashed, look: styles.quiet },
  { phase: "done", Icon: Check, look: styles.ok },
  { phase: "error", Icon: X, look: styles.bad },
  { phase: "canceled", Icon: Ban, look: styles.quiet },
];

/** How many queries are in each phase, and how many things failed. */
export function Phases({ counts }: { counts: Counts }) {
  return (
    <span className={styles.phases}>
      {LOOKS.map(({ phase, Icon, look }) => {
        const queries = counts.phases[phase] ?? 0;
        if (queries === 0) return null;
        return (
          <span key={phase} className={look} title={`${queries} ${phase}`}>
            <Icon size={12} strokeWidth={2.5} aria-hidden />
            {count(queries)}
            <span className="visually-hidden"> {phase},</span>
          </span>
        );
      })}
      {counts.errors > 0 && (
        <span
          className={styles.failures}
          title={`${counts.errors} ${counts.errors === 1 ? "failure" : "failures"}`}
        >
          <TriangleAlert size={12} aria-hidden />
          {count(counts.errors)}
          <span className="visually-hidden"> {counts.errors === 1 ? "failure" : "failures"}</span>
        </span>
      )}
    </span>
  );
}
