import { describe, expect, it } from "vitest";
import type { Entry, Json, Query, SpanNode, StoredEvent, Trace } from "../../../api/types";
import { arrange, layOut, type Row, spansOf, tokensPerSecond, visible } from "./layout";

const BEGIN = Date.parse("2026-01-01T00:00:00Z");
let seq = 0;

const at = (ms: number) => new Date(BEGIN + ms).toISOString();

function span(id: string, start: number, duration?: number, more: Partial<StoredEvent> = {}): SpanNode {
  seq += 1;
  const event: StoredEvent = {
    seq,
    id: String(seq),
    kind: "span",
    type: "span",
    time: at(start),
    spanId: id,
    body: null,
    ...more,
  };
  return { event: duration === undefined ? event : { ...event, duration } };
}

const traced = (...roots: SpanNode[]): Trace[] => [
  { traceId: "t", sessions: [], queries: [], events: roots.length, roots },
];

const query = (phase: Query["phase"], events: Entry[], more: Partial<Query> = {}): Query => ({
  phase,
  mcpSessions: {},
  tokens: { input: 0, output: 0 },
  events,
  ...more,
});

const ids = (rows: Row[]) => rows.map((row) => `${"-".repeat(row.depth)}${row.id}`);

function row(rows: Row[], id: string): Row {
  const found = rows.find((each) => each.id === id);
  if (found === undefined) throw new Error(`no row ${id}`);
  return found;
}

const attributes = (pairs: Record<string, string>): Json => ({
  span: {
    name: "x",
    attributes: Object.entries(pairs).map(([key, value]) => ({ key, value: { stringValue: value } })),
  },
});

describe("the waterfall", () => {
  it("has parents before their children, and siblings by time, in whatever order they came", () => {
    const { rows, start, end } = layOut(
      traced(
        span("late", 50, 10, { parentSpanId: "root" }),
        span("deep", 12, 5, { parentSpanId: "early" }),
        span("early", 10, 20, { parentSpanId: "root" }),
        span("root", 0, 100),
      ),
      undefined,
    );
    expect(ids(rows)).toEqual(["root", "-early", "--deep", "-late"]);
    expect(rows.map((each) => each.below)).toEqual([3, 1, 0, 0]);
    expect([start - BEGIN, end - BEGIN]).toEqual([0, 100]);
  });

  it("gives each span the time in which nothing below it ran, and counts what ran together once", () => {
    const { rows } = layOut(
      traced(
        span("root", 0, 100),
        span("a", 10, 30, { parentSpanId: "root" }),
        span("b", 20, 30, { parentSpanId: "root" }),
        span("beyond", 90, 500, { parentSpanId: "root" }),
      ),
      undefined,
    );
    expect(row(rows, "root").selfTime).toBe(50);
    expect(row(rows, "a").selfTime).toBe(30);
  });

  it("shows children of another clock where they say they were, and says so", () => {
    const { rows, start } = layOut(
      traced(span("root", 0, 100), span("skewed", -40, 20, { parentSpanId: "root" })),
      undefined,
    );
    expect(ids(rows)).toEqual(["root", "-skewed"]);
    expect(row(rows, "skewed").isSkewed).toBe(true);
    expect(row(rows, "root").selfTime).toBe(100);
    expect(start - BEGIN).toBe(-40);
  });

  it("keeps spans without length, and spans whose parent nobody reported", () => {
    const { rows, isRunning } = layOut(
      traced(span("instant", 5, 0), span("lost", 7, 1, { parentSpanId: "nobody" })),
      undefined,
    );
    expect(ids(rows)).toEqual(["instant", "lost"]);
    expect(row(rows, "lost").isOrphan).toBe(true);
    expect(isRunning).toBe(false);
  });

  it("opens circles and loses nothing", () => {
    const { rows } = layOut(
      traced(
        span("a", 0, 1, { parentSpanId: "b" }),
        span("b", 1, 1, { parentSpanId: "a" }),
        span("self", 2, 1, { parentSpanId: "self" }),
      ),
      undefined,
    );
    expect(rows.map((each) => each.id).sort()).toEqual(["a", "b", "self"]);
  });

  it("makes one bar of all reports of a span", () => {
    const { rows } = layOut(
      traced(
        span("call", 0, 1, { type: "tool.call", tool: "search" }),
        span("call", 0, 70, { type: "tool.failed", tool: "search", error: "no network" }),
      ),
      undefined,
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ category: "tool", name: "search", error: "no network" });
    expect((rows[0]?.end ?? 0) - (rows[0]?.start ?? 0)).toBe(70);
  });

  it("shows a pending span as its span, which runs until that is reported", () => {
    const pending = span("p1", 5, undefined, {
      type: "llm.started",
      model: "gpt-4",
      parentSpanId: "call",
      body: attributes({ "logfire.span_type": "pending_span", "logfire.pending_parent_id": "root" }),
    });
    const running = layOut(traced(span("root", 0, 100), pending), query("running", []));
    expect(ids(running.rows)).toEqual(["root", "-call"]);
    expect(running.isRunning).toBe(true);
    expect(row(running.rows, "call").end).toBeUndefined();

    const ended = span("call", 5, 20, { type: "llm.request", model: "gpt-4", parentSpanId: "root" });
    const after = layOut(traced(span("root", 0, 100), pending, ended), query("running", []));
    expect(ids(after.rows)).toEqual(["root", "-call"]);
    expect(after.isRunning).toBe(false);
  });

  it("lets nothing run in a query that is over", () => {
    const { rows, isRunning } = layOut(
      traced(span("never", 5, undefined, { type: "span.started" })),
      query("error", [], { endedAt: at(50) }),
    );
    expect(isRunning).toBe(false);
    expect((row(rows, "never").end ?? 0) - BEGIN).toBe(50);
  });

  it("puts a stream under its model call, which learns when the first token came", () => {
    const { rows } = layOut(
      traced(
        span("root", 0, 3000),
        span("call", 100, 1200, { type: "llm.request", parentSpanId: "root", outputTokens: 50 }),
      ),
      query("done", [
        { type: "stream", ts: at(300), duration: 900, tokens: 50, stream: "s", complete: true },
      ]),
    );
    expect(ids(rows)).toEqual(["root", "-call", "--stream:0"]);
    expect(row(rows, "call").firstToken).toBe(200);
    expect(tokensPerSecond(row(rows, "call"))).toBeCloseTo(50);
    expect(row(rows, "root").selfTime).toBe(1800);
  });

  it("puts each stream under the call that lies over most of it, of several the innermost", () => {
    const call = (id: string, start: number, duration?: number) =>
      span(id, start, duration, { type: "llm.request" });
    const calls = [
      call("short", 40, 20),
      call("all", 0, 1000),
      call("open", 900),
      ...Array.from({ length: 50 }, (_, n) => call(`n${n}`, 2000 + n * 10, 9)),
    ];
    const stream = (start: number, duration: number) => ({
      type: "stream",
      ts: at(start),
      duration,
      complete: true,
    });
    const { rows } = layOut(
      traced(...calls),
      query("running", [stream(41, 5), stream(30, 100), stream(950, 200), stream(2101, 7), stream(0, 4000)]),
    );
    const above = (id: string) => rows[row(rows, id).parent]?.id;
    expect([0, 1, 2, 3, 4].map((n) => above(`stream:${n}`))).toEqual(["short", "all", "open", "n10", "open"]);
  });

  it("shows all traces of a query on one scale", () => {
    const before = traced(span("before", 0, 10));
    const after = traced(span("after", 500, 20), span("tool", 505, 5, { parentSpanId: "after" }));
    const { rows, start, end } = layOut([...after, ...before], query("done", [], { endedAt: at(520) }));
    expect(ids(rows)).toEqual(["before", "after", "-tool"]);
    expect(end - start).toBe(520);
  });

  it("shows how long the query waited, and that it still waits", () => {
    const asked = { type: "question.asked", ts: at(10) };
    const waiting = { type: "query.waiting", ts: at(11) };
    const open = layOut([], query("waiting", [asked, waiting]));
    expect(open.rows).toHaveLength(1);
    expect(open.isRunning).toBe(true);
    const over = layOut([], query("running", [asked, waiting, { type: "question.answered", ts: at(60) }]));
    expect((over.rows[0]?.end ?? 0) - (over.rows[0]?.start ?? 0)).toBe(50);
  });

  it("marks what else happened in a span", () => {
    const note = span("root", 30, undefined, { kind: "log", type: "note" });
    expect(layOut(traced(span("root", 0, 100), note), undefined).rows[0]?.marks).toMatchObject([
      { event: { type: "note" } },
    ]);
  });

  it("lays 5,000 spans out, deep or wide", () => {
    const wide = Array.from({ length: 5000 }, (_, n) => span(`w${n}`, n, 2, { parentSpanId: "root" }));
    expect(layOut(traced(span("root", 0, 5000), ...wide), undefined).rows).toHaveLength(5001);
    const deep = Array.from({ length: 5000 }, (_, n) => span(`d${n}`, n, 9, { parentSpanId: `d${n - 1}` }));
    const { rows } = layOut(traced(...deep), undefined);
    expect(rows.at(-1)?.depth).toBe(4999);
    expect(visible(rows, new Set(["d10"]))).toHaveLength(11);
  });
});

describe("spans that were made before", () => {
  it("are arranged anew with every state of their query, and stay what they are", () => {
    const spans = spansOf(
      traced(
        span("root", 0, 3000),
        span("call", 100, undefined, { type: "llm.request", parentSpanId: "root" }),
      ),
    );
    const before = structuredClone(spans);
    const streaming = { type: "stream", ts: at(300), tokens: 5, stream: "s" };
    const running = arrange(spans, query("running", [streaming]));
    expect(ids(running.rows)).toEqual(["root", "-call", "--stream:0"]);
    expect(row(running.rows, "call")).toMatchObject({ firstToken: 200 });

    const over = arrange(spans, query("done", [], { endedAt: at(4000) }));
    expect(ids(over.rows)).toEqual(["root", "-call"]);
    expect(row(over.rows, "call").firstToken).toBeUndefined();
    expect(over.isRunning).toBe(false);
    expect(spans).toEqual(before);
  });
});
