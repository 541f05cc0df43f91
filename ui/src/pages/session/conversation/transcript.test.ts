import { describe, expect, it } from "vitest";
import { asMarkdown, transcript } from "./transcript";

const call = (id: string, name = "search", json = '{"q":1}') => ({ id, function: { name, arguments: json } });

describe("a transcript", () => {
  it("has a tool's result with its call", () => {
    const turns = transcript([
      { role: "user", content: "find" },
      { role: "assistant", content: null, tool_calls: [call("a"), call("b", "fetch")] },
      { role: "tool", tool_call_id: "b", content: "not json" },
      { role: "tool", tool_call_id: "a", content: '{"found":2}' },
      { role: "assistant", content: "two" },
    ]);
    expect(turns.map((turn) => turn.role)).toEqual(["user", "assistant", "assistant"]);
    expect(turns[1]?.calls).toMatchObject([
      { id: "a", name: "search", input: { q: 1 }, output: { found: 2 } },
      { id: "b", name: "fetch", input: { q: 1 }, output: "not json" },
    ]);
  });

  it("gives a result to the latest call with its id, and shows one that no call asked for", () => {
    const turns = transcript([
      { role: "assistant", tool_calls: [call("same")] },
      { role: "tool", tool_call_id: "same", content: "1" },
      { role: "assistant", tool_calls: [call("same")] },
      { role: "tool", tool_call_id: "same", content: "2" },
      { role: "tool", tool_call_id: "unknown", content: "3" },
    ]);
    expect(turns.map((turn) => turn.calls[0]?.output)).toEqual(["1", "2", "3"]);
  });

  it("leaves a call without a result open, and arguments that are not JSON as they are", () => {
    const [turn] = transcript([{ role: "assistant", tool_calls: [call("a", "x", '{"q":')] }]);
    expect(turn?.calls[0]).toEqual({ key: "0", id: "a", name: "x", input: '{"q":' });
  });

  it("joins the texts of parts, and keeps what is no text", () => {
    const picture = { type: "image_url", image_url: { url: "https://example.org/a.png" } };
    const [turn] = transcript([
      { role: "user", content: [{ type: "text", text: "look" }, picture, { type: "text", text: "here" }] },
    ]);
    expect(turn).toMatchObject({ text: "look\n\nhere", others: [picture] });
  });

  it("can be taken away as markdown in which nothing ends a fence early", () => {
    const text = asMarkdown(
      transcript([
        { role: "assistant", name: "ann", content: "Hi", tool_calls: [call("a", "x", "```\nend")] },
      ]),
    );
    expect(text).toContain("## assistant (ann)\n\nHi");
    expect(text).toContain("````\n```\nend\n````");
  });
});
