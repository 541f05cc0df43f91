import { describe, expect, it } from "vitest";
import { keysOf, namedBy, whyHere } from "./correlation";

const event = { seq: 1, id: "a", kind: "span", type: "x", time: "2026-01-01T00:00:00Z", body: null } as const;

describe("why an event is where it is", () => {
  it("is said in words for every rule, and for rules to come", () => {
    expect(whyHere("trace")).toContain("trace");
    expect(whyHere("new-rule")).toContain("new-rule");
    expect(whyHere(undefined)).toContain("Nothing says");
    expect(namedBy("explicit")).toBe("named by an event itself");
    expect(namedBy("mcp-session")).toBe("found by its mcp session");
    expect(namedBy(null)).toBe("");
  });

  it("hangs on the keys that the event has, the most trusted first", () => {
    const keys = keysOf({ ...event, query: "q", traceId: "t", mcpSessionId: "m", mcpServer: "s" });
    expect(keys.map((key) => key.name)).toEqual(["Trace", "Query", "MCP session"]);
    expect(keys[2]?.ask).toEqual({ mcpSessionId: "m", mcpServer: "s" });
    expect(keysOf(event)).toEqual([]);
  });
});
