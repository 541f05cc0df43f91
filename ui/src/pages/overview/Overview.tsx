import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCallback } from "react";
import { useSearchParams } from "react-router";
import { get, path } from "../../api/http";
import type { Overview as Data } from "../../api/types";
import { brief, clock } from "../../format";
import { Failure, Loading, Notice } from "../../parts/Notice";
import { Choice } from "./Choice";
import { Deliveries } from "./deliveries/Deliveries";
import { GroupTable } from "./GroupTable";
import { MetricChart } from "./MetricChart";
import styles from "./Overview.module.css";
import { RANGES, type Range, rangeFrom } from "./ranges";
import { type By, isEmpty, METRICS, seriesOf } from "./series";
import { Swatch } from "./Tip";
import { Totals } from "./Totals";

const REFRESH_MS = 15_000;
const GROUPS = [
  { key: "agent", name: "Agent" },
  { key: "model", name: "Model" },
] as const;

/** Figures over time: what is going on, what fails, what it costs. */
export function Overview() {
  const [parameters, setParameters] = useSearchParams();
  const range = rangeFrom(parameters.get("range"));
  const by: By = parameters.get("by") === "model" ? "model" : "agent";
  const query = useQuery({
    queryKey: ["overview", range.key],
    queryFn: ({ signal }) => {
      const since = new Date(Date.now() - range.ms).toISOString();
      return get<Data>(path(["v1", "overview"], { since, bucket: range.bucket }), signal);
    },
    refetchInterval: REFRESH_MS,
    placeholderData: keepPreviousData,
  });
  const choose = useCallback(
    (name: string, value: string) =>
      setParameters(
        (before) => {
          const after = new URLSearchParams(before);
          after.set(name, value);
          return after;
        },
        { replace: true },
      ),
    [setParameters],
  );
  const isBehind = query.isError && query.data !== undefined;

  return (
    <section className={styles.page} aria-labelledby="overview-title">
      <header className={styles.top}>
        <h1 id="overview-title">Overview</h1>
        <Choice name="Range" options={RANGES} chosen={range.key} choose={(key) => choose("range", key)} />
        <Choice name="Group by" options={GROUPS} chosen={by} choose={(key) => choose("by", key)} showsName />
        <span className={styles.asOf} role={isBehind ? "alert" : undefined}>
          {isBehind && "Not up to date: "}
          {query.dataUpdatedAt > 0 &&
            `as of ${clock(new Date(query.dataUpdatedAt).toISOString()).slice(0, 8)}`}
        </span>
      </header>
      {query.data !== undefined ? (
        <Figures overview={query.data} by={by} range={range} />
      ) : query.error !== null ? (
        <Failure error={query.error} retry={() => void query.refetch()} />
      ) : (
        <Loading what="the figures" />
      )}
      <Deliveries />
    </section>
  );
}

function Figures({ overview, by, range }: { overview: Data; by: By; range: Range }) {
  const series = seriesOf(overview, by);
  const other = by === "agent" ? "model" : "agent";
  if (isEmpty(overview.total)) {
    return (
      <Notice title="Nothing in this time">
        <p>
          Choose a longer range, or make something happen: <code>ark-broker demo</code>.
        </p>
      </Notice>
    );
  }
  return (
    <>
      <Totals total={overview.total} />
      <ul className={styles.legend} aria-label={`Colours of the charts, by ${by}`}>
        {series.map(({ key, label }) => (
          <li key={key}>
            <Swatch of={key} />
            {brief(label, 40)}
          </li>
        ))}
      </ul>
      <div className={styles.charts}>
        {METRICS.map((metric) => (
          <MetricChart
            key={metric.key}
            overview={overview}
            series={series}
            metric={metric}
            by={by}
            range={range}
          />
        ))}
      </div>
      <GroupTable groups={overview[`${by}s`]} by={by} series={series} />
      <GroupTable groups={overview[`${other}s`]} by={other} series={[]} />
    </>
  );
}
