import { describe, expect, it } from "vitest";
import type { Entry } from "../../../api/types";
import { withToolEntries } from "./toolEntries";
import { asMarkdown, transcript } from "./transcript";

const at = (second: number) => `2026-01-01T00:00:0${second}Z`;
const entry = (seq: number, type: string, more: Partial<Entry>): Entry => ({
  seq,
  type,
  ts: at(seq),
  ...more,
});
const tool = (seq: number, more: Partial<Entry> = {}) =>
  entry(seq, "tool.call", { tool: "search", input: `call ${seq}`, output: "found", ...more });

/** What stands where: texts, and in brackets what calls were given. */
const shape = (messages: Parameters<typeof transcript>[0], entries: Entry[]) =>
  withToolEntries(transcript(messages), entries).map((turn) =>
    turn.text === "" ? turn.calls.map((call) => [call.input]) : turn.text,
  );

describe("tool calls that no message tells of", () => {
  it("stand between what was said before and after them", () => {
    const messages = [
      { role: "user", content: "Weather?" },
      { role: "assistant", content: "I look." },
      { role: "assistant", content: "Sunny." },
      { role: "user", content: "And tomorrow?" },
    ];
    const entries = [
      entry(1, "query.started", { input: "Weather?" }),
      entry(2, "llm.request", {
        output: [{ role: "assistant", parts: [{ type: "text", content: "I look." }] }],
      }),
      tool(3),
      entry(4, "llm.request", { output: "Sunny." }),
      entry(5, "llm.request", {
        input: [{ role: "system", content: "Be brief." }, { content: "And tomorrow?" }],
      }),
      tool(6),
    ];
    expect(shape(messages, entries)).toEqual([
      "Weather?",
      "I look.",
      [["call 3"]],
      "Sunny.",
      "And tomorrow?",
      [["call 6"]],
    ]);
  });

  it("come after what was streamed, of whose time nothing is known", () => {
    const messages = [
      { role: "user", content: "Deploy." },
      { role: "assistant", content: "I ask first." },
    ];
    const entries = [entry(1, "query.started", { input: "Deploy." }), entry(2, "stream", {}), tool(3)];
    expect(shape(messages, entries)).toEqual(["Deploy.", "I ask first.", [["call 3"]]]);
  });

  it("are put where the same words were said for the second time, too", () => {
    const messages = [
      { role: "user", content: "again" },
      { role: "user", content: "again" },
    ];
    const entries = [1, 3].map((seq) => entry(seq, "query.started", { input: "again" }));
    expect(shape(messages, [...entries, tool(4), tool(2)])).toEqual([
      "again",
      [["call 2"]],
      "again",
      [["call 4"]],
    ]);
  });

  it("are not told twice: a message has them by their id, or by what they are", () => {
    const call = (id: string, input: string) => ({ id, function: { name: "search", arguments: input } });
    const messages = [{ role: "assistant", tool_calls: [call("a", "x"), call("b", '{"q":1}')] }];
    const entries = [
      tool(1, { toolCallId: "a" }),
      tool(2, { input: { q: 1 } }),
      tool(3, { input: { q: 1 } }),
    ];
    expect(shape(messages, entries)).toEqual([[["x"], [{ q: 1 }]], [[{ q: 1 }]]]);
  });

  it("say what went wrong, also when they are taken away as markdown", () => {
    const failed = entry(1, "tool.call", { tool: "search", input: "x", status: "error", error: "504" });
    const [turn] = withToolEntries([], [failed]);
    expect(turn?.calls[0]).toMatchObject({ name: "search", input: "x", error: "504" });
    expect(asMarkdown(turn === undefined ? [] : [turn])).toContain("failed: 504");
  });

  it("are none where there are none", () => {
    const turns = transcript([{ role: "user", content: "Hi" }]);
    expect(withToolEntries(turns, [entry(1, "query.started", { input: "Hi" })])).toBe(turns);
  });
});
