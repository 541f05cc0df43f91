import { describe, expect, it } from "vitest";
import type { Json, StoredEvent } from "../../../api/types";
import { sceneAt, stepsAt, trackOf, wholeText } from "./schedule";

const START = Date.parse("2026-01-01T10:00:00Z");

function chunk(seq: number, ms: number, delta: Json, over: Partial<StoredEvent> = {}): StoredEvent {
  return {
    seq,
    id: `c${seq}`,
    kind: "chunk",
    type: "llm.chunk",
    time: new Date(START + ms).toISOString(),
    body: { choices: [{ index: 0, delta }] },
    ...over,
  };
}

function textAt(track: ReturnType<typeof trackOf>, ms: number): string {
  return sceneAt(track, stepsAt(track, ms))
    .channels.map((channel) => channel.text)
    .join("|");
}

describe("a track", () => {
  const track = trackOf([
    chunk(1, 0, { content: "Let" }),
    chunk(2, 100, { content: " me" }),
    chunk(3, 400, { content: " see" }),
  ]);

  it("has at each moment the text that had come by then", () => {
    expect([0, 99, 100, 399, 400, 9999].map((ms) => textAt(track, ms))).toEqual([
      "Let",
      "Let",
      "Let me",
      "Let me",
      "Let me see",
      "Let me see",
    ]);
    expect([0, 100, 400].map((ms) => sceneAt(track, stepsAt(track, ms)).tokens)).toEqual([1, 2, 3]);
    expect(track.total).toBe(400);
    expect(wholeText(track)).toBe("Let me see");
  });

  it("goes by the times, not by the order in which chunks are given", () => {
    const mixed = trackOf([
      chunk(2, 100, { content: "b" }),
      chunk(1, 0, { content: "a" }),
      chunk(3, 100, { content: "c" }),
    ]);
    expect(textAt(mixed, 100)).toBe("abc");
  });

  it("plays a long pause as one of ten seconds", () => {
    const slow = trackOf([
      chunk(1, 0, { content: "a" }),
      chunk(2, 3_600_000, { content: "b" }),
      chunk(3, 3_601_000, { content: "c" }),
    ]);
    expect(slow.times).toEqual([0, 10_000, 11_000]);
  });

  it("never shows half a character", () => {
    const [high, low] = ["\ud83d", "\ude00"];
    const cut = trackOf([chunk(1, 0, { content: `a${high}` }), chunk(2, 100, { content: `${low}b` })]);
    expect(textAt(cut, 0)).toBe("a");
    expect(textAt(cut, 100)).toBe("a😀b");
  });

  it("has reasoning and tool calls beside the text, each growing", () => {
    const call = (text: string, name?: string): Json => ({
      tool_calls: [{ index: 0, function: { arguments: text, ...(name === undefined ? {} : { name }) } }],
    });
    const calling = trackOf([
      chunk(1, 0, { reasoning_content: "hm" }),
      chunk(2, 10, { content: "Wait." }),
      chunk(3, 20, call("", "web_search")),
      chunk(4, 30, call('{"q":')),
      chunk(5, 40, call('"NYC"}')),
    ]);
    expect(sceneAt(calling, 4).channels).toEqual([
      { kind: "reasoning", text: "hm" },
      { kind: "text", text: "Wait." },
      { kind: "tool", name: "web_search", text: '{"q":' },
    ]);
    expect(sceneAt(calling, 5).channels.at(-1)?.text).toBe('{"q":"NYC"}');
  });

  it("takes a provider's own count of tokens where there is one", () => {
    const usage = { type: "llm.usage", outputTokens: 7 };
    const counted = trackOf([chunk(1, 0, { content: "a b c" }), chunk(2, 5, {}, usage)]);
    expect(counted.tokens).toEqual([1, 7]);
  });

  it("is empty where nothing was recorded, or nothing that can be read", () => {
    expect(sceneAt(trackOf([]), 0)).toEqual({ channels: [], tokens: 0 });
    expect(textAt(trackOf([chunk(1, 0, null), { ...chunk(2, 1, null), body: "x" }]), 10)).toBe("");
  });
});
