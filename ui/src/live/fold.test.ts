import { describe, expect, it } from "vitest";
import type { Entry, Json, QueryAnswer, StoredEvent } from "../api/types";
import { type LiveView, viewOf } from "./book";
import { fold } from "./fold";
import { reconcile } from "./reconcile";
import { empty, event, START } from "./samples";

function chunk(seq: number, content: string, over: Partial<StoredEvent> = {}): StoredEvent {
  const body: Json = { choices: [{ index: 0, delta: { content } }] };
  return event(seq, "llm.chunk", { kind: "chunk", streamId: "stream", body, ...over });
}

function entries(view: LiveView, query = "q"): Entry[] {
  return view.session.queries[query]?.events ?? [];
}

const folded = (...events: StoredEvent[]) => fold(viewOf(empty()), events);

describe("queries", () => {
  it("go through their phases, and the session's status with them", () => {
    let view = folded(event(1, "query.started"));
    expect([view.session.queries.q?.phase, view.session.status]).toEqual(["running", "active"]);
    view = fold(view, [event(2, "query.waiting", { questionId: "x" })]);
    expect([view.session.queries.q?.phase, view.session.status]).toEqual(["waiting", "waiting"]);
    view = fold(view, [event(3, "question.answered", { questionId: "x" })]);
    expect(view.session.queries.q?.phase).toBe("running");
    view = fold(view, [event(4, "query.failed", { error: "no" })]);
    expect(view.session.queries.q).toMatchObject({ phase: "error", error: "no", duration: 3000 });
    expect(view.session.status).toBe("error");
    expect(view.session.counts).toMatchObject({ queries: 1, events: 4, errors: 1 });
    expect(view.session.counts.phases).toEqual({ running: 0, waiting: 0, error: 1 });
  });

  it("may have the name of a member that every object has", () => {
    const view = folded(
      event(1, "query.started", { query: "constructor" }),
      event(2, "x", { query: "__proto__" }),
    );
    expect(Object.keys(view.session.queries)).toEqual(["constructor", "__proto__"]);
    expect(view.session.counts.queries).toBe(2);
  });

  it("are none for an event that belongs to none", () => {
    const { query: _query, ...outside } = event(1, "deploy.finished");
    expect(folded(outside).session.events?.map((entry) => entry.type)).toEqual(["deploy.finished"]);
  });

  it("stay the same objects where nothing happened", () => {
    const before = folded(event(1, "query.started"), event(2, "query.started", { query: "other" }));
    const after = fold(before, [event(3, "step", { query: "other" })]);
    expect(after.session.queries.q).toBe(before.session.queries.q);
    expect(after.session.queries.other).not.toBe(before.session.queries.other);
    expect(entries(after, "other")[0]).toBe(entries(before, "other")[0]);
  });
});

describe("events that are in the view already", () => {
  it("change nothing", () => {
    const events = [
      event(1, "query.started"),
      chunk(2, "a"),
      chunk(3, "b"),
      event(4, "tool.call", { tool: "t" }),
    ];
    const view = folded(...events);
    expect(fold(view, events)).toBe(view);
    expect(fold(view, [...events, event(5, "x")]).session.counts.events).toBe(5);
  });

  it("are none after an adoption: the position in the session counts", () => {
    const view = folded(event(9, "x"));
    expect(entries(fold(view, [{ ...event(2, "adopted"), sessionSeq: 10 }]))).toHaveLength(2);
  });
});

describe("chunks", () => {
  it("of one stream are one entry that shows its text while it grows", () => {
    const view = folded(event(1, "query.started"), chunk(2, "Hel"), chunk(3, "lo"));
    expect(entries(view)[1]).toMatchObject({
      type: "stream",
      seq: 2,
      tokens: 2,
      chunks: 2,
      duration: 1000,
      text: "Hello",
    });
    expect(view.session.tokens.output).toBe(2);
    expect(view.session.counts.chunks).toBe(2);
  });

  it("after a tool call begin another entry, and the text of the first is let go", () => {
    const view = folded(chunk(1, "a"), event(2, "tool.call", { tool: "t" }), chunk(3, "b"));
    expect(entries(view).map((entry) => [entry.type, entry.text])).toEqual([
      ["stream", undefined],
      ["tool.call", undefined],
      ["stream", "b"],
    ]);
  });

  it("of two streams at once do not interrupt each other", () => {
    const other = { streamId: "other" };
    const view = folded(chunk(1, "a"), chunk(2, "x", other), chunk(3, "b"), chunk(4, "y", other));
    expect(entries(view).map((entry) => entry.text)).toEqual(["ab", "xy"]);
  });

  it("end with the marker, which is no entry", () => {
    const view = folded(chunk(1, "a"), event(2, "stream.completed", { kind: "chunk", streamId: "stream" }));
    expect(entries(view)).toHaveLength(1);
    expect(entries(view)[0]).toMatchObject({ complete: true });
    expect(entries(view)[0]?.text).toBeUndefined();
  });

  it("keep the end of a long text only", () => {
    const long = Array.from({ length: 50 }, (_, index) => chunk(index + 1, "x".repeat(200)));
    expect(entries(folded(...long))[0]?.text).toHaveLength(4000);
  });

  it("are counted once when the model call is reported", () => {
    const call = event(3, "llm.request", { kind: "span", inputTokens: 10, outputTokens: 2, cost: 0.5 });
    const view = folded(chunk(1, "a"), chunk(2, "b"), call);
    expect(view.session.tokens).toEqual({ input: 10, output: 2 });
    expect(view.session.cost).toBe(0.5);
  });

  it("go on with the run that the snapshot left open", () => {
    const open: Entry = {
      seq: 2,
      type: "stream",
      ts: event(2, "").time,
      stream: "stream",
      tokens: 5,
      chunks: 5,
    };
    const query = {
      phase: "running" as const,
      mcpSessions: {},
      tokens: { input: 0, output: 5 },
      events: [open],
    };
    const before = viewOf(empty({ queries: { q: query }, seq: 6 }));
    expect(entries(before)[0]?.text).toBe("");
    const view = fold(before, [chunk(7, "on")]);
    expect(entries(view)).toEqual([expect.objectContaining({ seq: 2, tokens: 6, chunks: 6, text: "on" })]);
  });
});

describe("tool calls", () => {
  it("are joined with their results by their id", () => {
    const view = folded(
      event(1, "tool.call", { tool: "a", toolCallId: "1", body: { input: "weather NYC" } }),
      event(2, "tool.call", { tool: "b", toolCallId: "2" }),
      event(4, "tool.result", { toolCallId: "1", body: { output: "72F sunny" } }),
    );
    expect(entries(view)[0]).toMatchObject({
      tool: "a",
      input: "weather NYC",
      output: "72F sunny",
      duration: 3000,
    });
    expect(entries(view)[1]?.output).toBeUndefined();
    expect(view.session.counts.toolCalls).toBe(2);
  });

  it("are joined by their span where they have no id", () => {
    const span = { kind: "span" as const, spanId: "abc", tool: "t" };
    const view = folded(event(1, "tool.call", span), event(2, "tool.failed", { ...span, error: "gone" }));
    expect(entries(view)).toHaveLength(1);
    expect(entries(view)[0]).toMatchObject({ type: "tool.call", status: "error", error: "gone" });
    expect(view.failures).toEqual([{ query: "q", seq: 1 }]);
  });

  it("that worked at the second try are no failures any more", () => {
    const call = { toolCallId: "1", tool: "t" };
    const failed = folded(event(1, "tool.call", call), event(2, "tool.failed", { ...call, error: "x" }));
    const view = fold(failed, [event(3, "tool.result", call)]);
    expect(view.failures).toEqual([]);
    expect(entries(view)[0]?.error).toBeUndefined();
  });
});

describe("other events", () => {
  it("stand where their time puts them, whenever they came", () => {
    const late = event(4, "llm.request", { kind: "span", time: new Date(START + 1500).toISOString() });
    const view = folded(event(1, "query.started"), chunk(2, "a"), chunk(3, "b"), late);
    expect(entries(view).map((entry) => entry.type)).toEqual(["query.started", "llm.request", "stream"]);
  });

  it("have the content of their OTLP attributes", () => {
    const attributes = [
      { key: "tool.input", value: { stringValue: '{"city":"NYC"}' } },
      { key: "duration.ms", value: { intValue: "1200" } },
    ];
    const view = folded(
      event(1, "custom", { kind: "span", body: { span: { name: "my span", attributes } } }),
    );
    expect(entries(view)[0]).toMatchObject({ input: { city: "NYC" }, duration: 1200, name: "my span" });
  });
});

describe("the broker's own reading of a query", () => {
  function answer(events: Entry[], over: Partial<QueryAnswer> = {}): QueryAnswer {
    return {
      name: "q",
      phase: "running",
      mcpSessions: {},
      tokens: { input: 7, output: 2 },
      events,
      seq: 2,
      log: "log",
      ...over,
    };
  }

  it("takes the place of what was folded, and what came meanwhile is folded again", () => {
    const came = [event(1, "query.started"), chunk(2, "a"), chunk(3, "b")];
    const view = folded(...came);
    const told = answer([
      { seq: 1, type: "query.started", ts: event(1, "").time, input: "known to the broker" },
      { seq: 2, type: "stream", ts: event(2, "").time, stream: "stream", tokens: 1, chunks: 1 },
    ]);
    const after = reconcile(view, told, came);
    expect(entries(after)[0]?.input).toBe("known to the broker");
    expect(entries(after)[1]).toMatchObject({ tokens: 2, chunks: 2 });
    expect(entries(after)[1]?.text).toContain("b");
    expect(after.session.tokens).toEqual({ input: 7, output: 3 });
  });

  it("leaves entries that did not change the same objects", () => {
    const view = folded(event(1, "query.started"), event(2, "step"));
    const told = answer(structuredClone(entries(view)));
    expect(entries(reconcile(view, told, []))[1]).toBe(entries(view)[1]);
  });

  it("changes nothing where it leaves something out, or is of another log", () => {
    const view = folded(event(1, "query.started"));
    expect(reconcile(view, answer([], { truncated: true }), [])).toBe(view);
    expect(reconcile(view, answer([], { log: "other" }), [])).toBe(view);
  });
});

describe("a view that is cut short", () => {
  it("gets the events behind the cut, which the session's figures have already", () => {
    const counts = { ...empty().counts, queries: 1, phases: { done: 1 }, events: 3 };
    const first: Entry = { seq: 1, type: "query.started", ts: event(1, "").time };
    const query = {
      phase: "running" as const,
      mcpSessions: {},
      tokens: { input: 0, output: 0 },
      events: [first],
    };
    const cut = viewOf(empty({ counts, queries: { q: query }, seq: 3, truncatedAfter: 1 }));
    const view = fold(cut, [
      event(2, "step"),
      event(3, "query.completed"),
      event(4, "query.started", { query: "r" }),
    ]);
    expect(entries(view).map((entry) => entry.seq)).toEqual([1, 2, 3]);
    expect(view.session.queries.q?.phase).toBe("done");
    expect(view.session.counts).toMatchObject({ events: 4, queries: 2, phases: { done: 1, running: 1 } });
  });
});

describe("a long session", () => {
  it("costs what comes, not what is there", () => {
    const many = Array.from({ length: 20_000 }, (_, index) => event(index + 1, "step"));
    let view = folded(...many);
    const first = entries(view)[0];
    for (let seq = 20_001; seq <= 20_500; seq++) view = fold(view, [chunk(seq, "x")]);
    expect(entries(view)).toHaveLength(20_001);
    expect(entries(view)[0]).toBe(first);
    expect(view.books.get("q")?.runs.size).toBe(1);
  });
});
