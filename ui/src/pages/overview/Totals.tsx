import type { ReactNode } from "react";
import type { Figures } from "../../api/types";
import { count, dollars, duration } from "../../format";
import styles from "./Overview.module.css";

/** The sums of the range. */
export function Totals({ total }: { total: Figures }) {
  const { sessions, queries, tokens } = total;
  const latency = total.latency;
  const failed = queries.total === 0 ? 0 : queries.error / queries.total;
  return (
    <dl className={styles.totals}>
      <Total name="Sessions" value={count(sessions.total)}>
        {count(sessions.active)} active, {count(sessions.waiting)} waiting
      </Total>
      <Total name="Queries" value={count(queries.total)}>
        {count(queries.done)} done, {count(queries.running)} running
      </Total>
      <Total name="Errors" value={count(queries.error)} isBad={queries.error > 0}>
        {percent(failed)} of queries
        {total.modelErrors > 0 && `, ${count(total.modelErrors)} model calls`}
      </Total>
      <Total name="Tokens" value={count(tokens.input + tokens.output)}>
        {count(tokens.input)} in, {count(tokens.output)} out
      </Total>
      <Total name="Cost" value={dollars(total.cost)}>
        {queries.total > 0 && `${dollars(total.cost / queries.total)} a query`}
      </Total>
      <Total name="Latency" value={latency === undefined ? "–" : duration(latency.p50)}>
        {latency === undefined ? "nothing measured" : `p50 · p95 ${duration(latency.p95)}`}
      </Total>
      <Total
        name="First token"
        value={total.timeToFirstToken === undefined ? "–" : duration(total.timeToFirstToken.p50)}
      >
        {total.timeToFirstToken === undefined
          ? "nothing measured"
          : `p50 · p95 ${duration(total.timeToFirstToken.p95)}`}
      </Total>
    </dl>
  );
}

/** 0.034 → "3.4%". */
export function percent(part: number): string {
  if (part === 0) return "0%";
  if (part < 0.001) return "<0.1%";
  return `${Number((part * 100).toFixed(part < 0.1 ? 1 : 0))}%`;
}

function Total(props: { name: string; value: string; isBad?: boolean; children: ReactNode }) {
  return (
    <div className={styles.total}>
      <dt>{props.name}</dt>
      <dd className={props.isBad ? styles.bad : undefined}>{props.value}</dd>
      <dd className={styles.of}>{props.children}</dd>
    </div>
  );
}
