import type { Figures, FiguresAt, FiguresOf, Overview } from "../../api/types";

export type By = "agent" | "model";

/** What a chart shows. Sums stack; the others cannot be added to one another. */
export interface Metric {
  key: string;
  title: string;
  unit: "count" | "dollars" | "duration";
  isSum: boolean;
  value(figures: Figures, by: By): number | undefined;
}

/** Names that are drawn apart: more colours than this nobody can tell from each other. */
export const MOST_SERIES = 6;

export const METRICS: readonly Metric[] = [
  { key: "sessions", title: "Sessions", unit: "count", isSum: true, value: (of) => of.sessions.total },
  { key: "errors", title: "Errors", unit: "count", isSum: true, value: errors },
  {
    key: "tokens",
    title: "Tokens",
    unit: "count",
    isSum: true,
    value: (of) => of.tokens.input + of.tokens.output,
  },
  { key: "cost", title: "Cost", unit: "dollars", isSum: true, value: (of) => of.cost },
  {
    key: "p50",
    title: "Latency p50",
    unit: "duration",
    isSum: false,
    value: (of, by) => latency(of, by)?.p50,
  },
  {
    key: "p95",
    title: "Latency p95",
    unit: "duration",
    isSum: false,
    value: (of, by) => latency(of, by)?.p95,
  },
];

/** Queries that failed; of a model the calls that did. */
export function errors(figures: Figures, by: By): number {
  return by === "agent" ? figures.queries.error : figures.modelErrors;
}

/** Of queries from start to end; of a model of its calls. */
export function latency(figures: Figures, by: By) {
  return by === "agent" ? figures.latency : figures.modelLatency;
}

/** One name of the charts, with the same place, and so the same colour, in each of them. */
export interface Series {
  key: string;
  label: string;
  /** What is summed in it: more than one for all that have no place of their own. */
  groups: readonly FiguresOf[];
}

export function seriesOf(overview: Overview, by: By): Series[] {
  const groups = (by === "agent" ? overview.agents : overview.models).filter(
    (group) => !isEmpty(group.total, by),
  );
  const named = groups.filter((group) => group.others !== true);
  const own = named.slice(0, named.length > MOST_SERIES ? MOST_SERIES - 1 : MOST_SERIES);
  const rest = groups.filter((group) => !own.includes(group));
  const series = own.map((group, place) => ({
    key: `s${place}`,
    label: labelOf(group, by),
    groups: [group],
  }));
  return rest.length === 0 ? series : [...series, { key: "rest", label: "all others", groups: rest }];
}

export function labelOf(group: FiguresOf, by: By): string {
  return group.others === true ? "all others" : (group.name ?? `no ${by} named`);
}

/** Nothing counted. */
export function isEmpty(figures: Figures, by?: By): boolean {
  // Tools are called by agents: no figure of a model tells of them.
  const toolCalls = by === "model" ? 0 : figures.toolCalls;
  const { sessions, queries, modelCalls, cost } = figures;
  return sessions.total + queries.total + modelCalls + toolCalls + cost === 0;
}

/** A bar, or a point of the lines: the values by the key of their series. */
export type ChartRow = { at: string } & Record<string, number | string | undefined>;

/** A row for each bar of the overview. What was not measured, or cannot be added up, is absent. */
export function chartRows(overview: Overview, series: readonly Series[], metric: Metric, by: By): ChartRow[] {
  const shown = series.map(({ key, groups }) => ({
    key,
    points: groups.map((group) => byTime(group.points)),
  }));
  return overview.points.map(({ at }) => {
    const row: ChartRow = { at };
    for (const { key, points } of shown) {
      if (!metric.isSum && points.length > 1) continue;
      const values = points
        .map((each) => each.get(at))
        .map((point) => (point === undefined ? undefined : metric.value(point, by)))
        .filter((value) => value !== undefined);
      if (values.length > 0) row[key] = values.reduce((sum, value) => sum + value, 0);
    }
    return row;
  });
}

/** Whether there is anything to draw. */
export function hasValues(rows: readonly ChartRow[]): boolean {
  return rows.some((row) => Object.entries(row).some(([key, value]) => key !== "at" && value !== 0));
}

function byTime(points: readonly FiguresAt[]): Map<string, FiguresAt> {
  return new Map(points.map((point) => [point.at, point]));
}
