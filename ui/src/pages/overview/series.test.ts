import { describe, expect, it } from "vitest";
import type { Figures, FiguresOf, Overview } from "../../api/types";
import { chartRows, hasValues, METRICS, MOST_SERIES, seriesOf } from "./series";

function figures(sessions: number, p50?: number): Figures {
  return {
    sessions: { total: sessions, active: 0, waiting: 0, idle: sessions, error: 0 },
    queries: { total: sessions, running: 0, waiting: 0, done: sessions, error: 0, canceled: 0 },
    modelCalls: 0,
    modelErrors: 0,
    toolCalls: 0,
    tokens: { input: 0, output: 0 },
    cost: 0,
    ...(p50 === undefined ? {} : { latency: { count: 1, average: p50, p50, p95: p50 } }),
  };
}

const TIMES = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"] as const;

function group(name: string | null, sessions: number, p50?: number): FiguresOf {
  return { name, total: figures(sessions), points: [{ at: TIMES[1], ...figures(sessions, p50) }] };
}

function overview(agents: FiguresOf[]): Overview {
  const points = TIMES.map((at) => ({ at, ...figures(0) }));
  return {
    since: TIMES[0],
    until: "2026-01-01T02:00:00Z",
    bucket: 3600,
    total: figures(9),
    points,
    agents,
    models: [],
  };
}

function metric(key: string) {
  const found = METRICS.find((each) => each.key === key);
  if (found === undefined) throw new Error(key);
  return found;
}

describe("series", () => {
  it("are the busiest names, and one for all others", () => {
    const many = Array.from({ length: 9 }, (_, each) => group(`a${each}`, 9 - each));
    const series = seriesOf(overview([...many, { ...group("", 4), others: true }]), "agent");
    expect(series).toHaveLength(MOST_SERIES);
    expect(series.at(-1)?.label).toBe("all others");
    expect(series.at(-1)?.groups).toHaveLength(5);
  });

  it("leave out what has nothing, and call what has no name so", () => {
    const series = seriesOf(overview([group("a", 1), group("b", 0), group(null, 2)]), "agent");
    expect(series.map(({ label }) => label)).toEqual(["a", "no agent named"]);
  });
});

describe("rows of a chart", () => {
  it("are as many as bars, with values where there are some", () => {
    const shown = overview([group("a", 3)]);
    const rows = chartRows(shown, seriesOf(shown, "agent"), metric("sessions"), "agent");
    expect(rows).toEqual([{ at: TIMES[0] }, { at: TIMES[1], s0: 3 }]);
    expect(hasValues(rows)).toBe(true);
  });

  it("add up the others, but never their latencies", () => {
    const shown = overview(Array.from({ length: 8 }, (_, each) => group(`a${each}`, 1, 100)));
    const series = seriesOf(shown, "agent");
    expect(chartRows(shown, series, metric("sessions"), "agent")[1]?.rest).toBe(3);
    const rows = chartRows(shown, series, metric("p50"), "agent");
    expect(rows[1]).toEqual({ at: TIMES[1], s0: 100, s1: 100, s2: 100, s3: 100, s4: 100 });
  });

  it("of zeros alone are nothing to draw", () => {
    const shown = overview([group("a", 3)]);
    expect(hasValues(chartRows(shown, seriesOf(shown, "agent"), metric("errors"), "agent"))).toBe(false);
  });
});
