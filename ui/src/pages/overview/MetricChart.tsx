import { useId } from "react";
import {
  Bar,
  BarChart,
  CartesianGrid,
  Line,
  LineChart,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from "recharts";
import type { Overview } from "../../api/types";
import { count, dollars, duration } from "../../format";
import styles from "./Overview.module.css";
import { type Range, tick } from "./ranges";
import { type By, chartRows, hasValues, type Metric, type Series } from "./series";
import { Tip } from "./Tip";

const HEIGHT = 168;
const FORMATS = { count, dollars: axisDollars, duration };

interface Props {
  overview: Overview;
  series: readonly Series[];
  metric: Metric;
  by: By;
  range: Range;
}

/** One figure over time, by agent or by model: stacked bars of what adds up, lines of what does not. */
export function MetricChart({ overview, series, metric, by, range }: Props) {
  const title = useId();
  const rows = chartRows(overview, series, metric, by);
  const shown = metric.isSum ? series : series.filter(({ groups }) => groups.length === 1);
  const format = FORMATS[metric.unit];
  const of = metric.unit === "duration" ? (by === "agent" ? "of queries" : "of model calls") : `by ${by}`;
  const Chart = metric.isSum ? BarChart : LineChart;
  return (
    <figure className={styles.card} aria-labelledby={title}>
      <figcaption id={title}>
        {metric.title} <span className={styles.of}>{of}</span>
      </figcaption>
      {hasValues(rows) ? (
        <ResponsiveContainer width="100%" height={HEIGHT}>
          <Chart data={rows} margin={{ top: 6, right: 4, bottom: 0, left: 0 }} barCategoryGap="12%">
            <CartesianGrid vertical={false} stroke="var(--border)" />
            <XAxis
              dataKey="at"
              tickFormatter={(at: string) => tick(at, range)}
              minTickGap={36}
              height={22}
              tick={AXIS_TEXT}
              tickLine={false}
              stroke="var(--border)"
            />
            <YAxis
              width={52}
              tickCount={4}
              allowDecimals={metric.unit !== "count"}
              // Its parts stay on one line.
              tickFormatter={(value: number) => (value === 0 ? "0" : format(value).replaceAll(" ", "\u00a0"))}
              tick={AXIS_TEXT}
              tickLine={false}
              axisLine={false}
            />
            <Tooltip
              isAnimationActive={false}
              cursor={metric.isSum ? { fill: "var(--hover)" } : { stroke: "var(--muted)" }}
              content={({ active, label, payload }) =>
                active ? (
                  <Tip
                    at={String(label)}
                    bucket={overview.bucket}
                    values={payload.map(({ dataKey, value }) => [String(dataKey), Number(value)])}
                    series={shown}
                    format={metric.unit === "dollars" ? dollars : format}
                    isSum={metric.isSum}
                  />
                ) : null
              }
            />
            {shown.map(({ key }) =>
              metric.isSum ? (
                <Bar
                  key={key}
                  dataKey={key}
                  stackId="all"
                  fill={`var(--${key})`}
                  isAnimationActive={false}
                  maxBarSize={36}
                />
              ) : (
                <Line
                  key={key}
                  dataKey={key}
                  stroke={`var(--${key})`}
                  strokeWidth={1.5}
                  dot={{ r: 1.5, fill: `var(--${key})`, strokeWidth: 0 }}
                  connectNulls
                  isAnimationActive={false}
                />
              ),
            )}
          </Chart>
        </ResponsiveContainer>
      ) : (
        <p className={styles.nothing} style={{ height: HEIGHT }}>
          {metric.key === "errors" ? "No errors" : "Nothing measured"}
        </p>
      )}
    </figure>
  );
}

const AXIS_TEXT = { fill: "var(--muted)", fontSize: 11 };

/** Amounts beside an axis: as short as they are round. */
function axisDollars(value: number): string {
  return value >= 1000 ? `$${count(value)}` : `$${Number(value.toPrecision(2))}`;
}
