import { describe, expect, it } from "vitest";
import type { SessionSummary } from "../../api/types";
import { filtersFrom, parametersOf, passes, withFilter } from "./filters";

const NOW = Date.parse("2026-01-02T00:00:00Z");
const SESSION: SessionSummary = {
  id: "Session-ABC",
  namespace: "team-a",
  status: "active",
  agents: ["Planner"],
  counts: { queries: 1, phases: {}, events: 1, toolCalls: 0, modelCalls: 0, chunks: 0, errors: 0 },
  tokens: { input: 0, output: 0 },
  lastActivity: "2026-01-01T12:00:00.000000001Z",
  seq: 1,
};

describe("filters in the URL", () => {
  it("are read, and nonsense is left out", () => {
    const read = filtersFrom(new URLSearchParams("status=error&agent=+a+&q=x&since=24h&namespace="));
    expect(read).toEqual({ status: "error", agent: "a", q: "x", since: "24h" });
    expect(filtersFrom(new URLSearchParams("status=odd&since=soon"))).toEqual({});
  });

  it("are written beside what else is there", () => {
    const before = new URLSearchParams("q=x&other=1");
    expect(withFilter(before, "status", "idle").toString()).toBe("q=x&other=1&status=idle");
    expect(withFilter(before, "q", "").toString()).toBe("other=1");
  });

  it("become the API's parameters", () => {
    expect(parametersOf({ since: "24h", q: "x" }, NOW)).toEqual({
      since: "2026-01-01T00:00:00.000Z",
      q: "x",
    });
    expect(parametersOf({ since: "2026-01-01T00:00:00Z" }, NOW).since).toBe("2026-01-01T00:00:00.000Z");
    expect(parametersOf({}, NOW).since).toBeUndefined();
  });
});

describe("a live change", () => {
  it.each([
    [{}, "yes"],
    [{ status: "active" }, "yes"],
    [{ status: "idle" }, "no"],
    [{ namespace: "team-b" }, "no"],
    [{ agent: "planner" }, "yes"],
    [{ agent: "plan" }, "no"],
    [{ since: "24h" }, "yes"],
    [{ since: "1h" }, "no"],
    [{ q: "session-a" }, "yes"],
    [{ q: "PLAN" }, "yes"],
    [{ q: "query-001" }, "unknown"],
    [{ q: "query-001", status: "idle" }, "no"],
  ] as const)("with %j passes: %s", (filters, verdict) => {
    expect(passes(SESSION, filters, NOW)).toBe(verdict);
  });
});
