import { describe, expect, it, vi } from "vitest";
import type { Entry, Query, Session } from "../../../api/types";
import { entryKey, headKey, rowsOf } from "./rows";
import { openQuestion, textOf, wordsOf } from "./words";

function query(began: string, entries: Entry[], over: Partial<Query> = {}): Query {
  return {
    phase: "done",
    mcpSessions: {},
    tokens: { input: 0, output: 0 },
    startedAt: began,
    events: entries,
    ...over,
  };
}

function session(queries: Record<string, Query>, events?: Entry[]): Session {
  return {
    id: "s",
    status: "idle",
    counts: { queries: 0, phases: {}, events: 0, toolCalls: 0, modelCalls: 0, chunks: 0, errors: 0 },
    tokens: { input: 0, output: 0 },
    queries,
    ...(events === undefined ? {} : { events }),
    seq: 0,
    log: "log",
  };
}

describe("rows", () => {
  const entries = (from: number, many: number) =>
    Array.from({ length: many }, (_, index): Entry => ({ seq: from + index, type: "step" }));
  const shown = session(
    {
      "2": query("2026-01-01T11:00:00Z", entries(10, 3)),
      first: query("2026-01-01T10:00:00Z", entries(1, 2)),
    },
    entries(20, 1),
  );

  it("are the heads of queries by their beginning, and the entries of those that are open", () => {
    const rows = rowsOf(shown, (name) => name !== "first");
    expect(Array.from({ length: rows.count }, (_, index) => rows.keyAt(index))).toEqual([
      headKey("first"),
      headKey("2"),
      entryKey(10),
      entryKey(11),
      entryKey(12),
      headKey(""),
      entryKey(20),
    ]);
    expect(rows.at(99)).toBeUndefined();
    expect(rows.at(3)).toMatchObject({ kind: "entry", place: 1 });
  });

  it("are found by entry, in a closed query its head", () => {
    const rows = rowsOf(shown, (name) => name !== "first");
    expect([
      rows.indexOf("2", 11),
      rows.indexOf("first", 1),
      rows.indexOf("2", 99),
      rows.indexOf("none", 1),
    ]).toEqual([3, 0, -1, -1]);
    expect([rows.find(entryKey(12), 0), rows.find(entryKey(12), 4), rows.find(entryKey(1), 0)]).toEqual([
      4, 4, -1,
    ]);
  });

  it("are found by any key, whatever stands before them", () => {
    const unstored = session({ q: query("", [{ type: "note" }, ...entries(5, 1)]) }, [{ type: "note" }]);
    const rows = rowsOf(unstored, () => true);
    const keys = Array.from({ length: rows.count }, (_, index) => rows.keyAt(index));
    expect(keys.map((key) => rows.find(key, -1))).toEqual([0, 1, 2, 3, 4]);
    expect([rows.find(headKey("none"), -1), rows.find(entryKey(6), 2)]).toEqual([-1, -1]);
  });

  it("are found without a key being made of every row that is passed by", () => {
    const many = rowsOf(session({ q: query("", entries(1, 50_000)) }), () => true);
    const made = vi.spyOn(many, "keyAt");
    expect(many.find(entryKey(1), -1)).toBe(1);
    expect(made).not.toHaveBeenCalled();
  });
});

describe("words", () => {
  const said = (entry: Entry) => {
    const { tag, what, result, aside, failure } = wordsOf(entry);
    return [`[${tag}] ${what}`, result, aside, failure].filter((part) => part !== undefined).join(" / ");
  };

  it.each<[string, Entry]>([
    [
      '[tool] web_search("weather NYC") / "72F sunny"',
      { type: "tool.call", tool: "web_search", input: "weather NYC", output: "72F sunny" },
    ],
    ['[tool] web_search("NYC")', { type: "tool.call", tool: "web_search", input: { city: "NYC" } }],
    [
      '[tool] refund(id: 7, why: "late")',
      { type: "tool.call", tool: "refund", input: { id: 7, why: "late" } },
    ],
    [
      "[tool] refund() / no such order",
      { type: "tool.call", tool: "refund", status: "error", error: "no such order" },
    ],
    ["[stream] LLM chunks (52 tokens)", { type: "stream", tokens: 52 }],
    ["[stream] LLM streaming… (1 token) / Hello", { type: "stream", tokens: 1, text: "Hello" }],
    ["[event] query.completed (1.2 s)", { type: "query.completed", duration: 1200 }],
    ["[question] Waiting for response…", { type: "query.waiting", questionId: "q-123" }],
    [
      "[a2a] task-xyz (input required)",
      { type: "task.updated", taskId: "task-xyz", taskState: "input_required" },
    ],
    [
      '[llm] gpt-4 / "Hi"',
      {
        type: "llm.request",
        model: "gpt-4",
        output: [{ role: "assistant", parts: [{ type: "text", content: "Hi" }] }],
      },
    ],
    ["[agent] helper completed", { type: "agent.completed", agent: "helper" }],
  ])("%s", (words, entry) => {
    expect(said(entry)).toBe(words);
  });

  it("hold no characters that a screen should not draw", () => {
    expect(said({ type: "tool.call", tool: "a\u202eb", input: "c\u0000d" })).toBe('[tool] a·b("c·d")');
  });

  it("take the text out of messages, however they are written", () => {
    expect(textOf([{ role: "user", content: [{ type: "text", text: "a" }] }, { content: "b" }])).toBe(
      "a\n\nb",
    );
    expect(textOf({ city: "NYC" })).toBe("");
  });
});

describe("the open question", () => {
  const asked: Entry = { type: "question.asked", questionId: "x" };
  const task: Entry = { type: "task.updated", questionId: "task:1", taskState: "submitted" };

  it("is the newest that nobody answered, of a query that waits", () => {
    expect(openQuestion(query("", [asked, task], { phase: "waiting" }))).toBe(asked);
    expect(openQuestion(query("", [asked], { phase: "running" }))).toBeUndefined();
    const answered: Entry = { type: "question.answered", questionId: "x" };
    expect(openQuestion(query("", [asked, answered], { phase: "waiting" }))).toBeUndefined();
  });

  it("is looked for once in a query, however many rows ask for it", () => {
    let looks = 0;
    const counted = {
      ...query("", [], { phase: "waiting" }),
      get events() {
        looks += 1;
        return [asked];
      },
    };
    openQuestion(counted);
    const first = looks;
    expect(openQuestion(counted)).toBe(asked);
    expect(looks).toBe(first);
  });
});
