import { describe, expect, it } from "vitest";
import type { SessionSummary } from "../../api/types";
import {
  applyChanges,
  type Change,
  firstPage,
  freeze,
  newer,
  nextPage,
  type SessionList,
  settle,
} from "./list";
import { compareTimes } from "./order";

function session(id: string, second: number, seq = second): SessionSummary {
  const lastActivity = `2026-01-01T00:00:${String(second).padStart(2, "0")}Z`;
  const counts = { queries: 1, phases: {}, events: 1, toolCalls: 0, modelCalls: 0, chunks: 0, errors: 0 };
  return { id, status: "idle", counts, tokens: { input: 0, output: 0 }, lastActivity, seq };
}

function changed(id: string, second: number, more: Partial<Change> = {}): Change {
  return { id, seq: second, session: session(id, second), matches: true, ...more };
}

const gone = (id: string, seq: number): Change => ({ id, seq, matches: false });
const shown = (list: SessionList): string => list.order.join(" ");
const loaded = (frozen = false): SessionList =>
  firstPage({ items: [session("c", 30), session("b", 20), session("a", 10)] }, frozen);

describe("a list that may move", () => {
  it("puts what is new and what changed on top", () => {
    const list = applyChanges(loaded(), [changed("d", 40), changed("a", 41)]);
    expect(shown(list)).toBe("a d c b");
    expect(newer(list)).toBe(0);
  });

  it("puts a late arrival where its time says", () => {
    expect(shown(applyChanges(loaded(), [changed("x", 25, { seq: 99 })]))).toBe("c x b a");
  });

  it("forgets what is gone and what the filters stop", () => {
    const list = applyChanges(loaded(), [gone("b", 50), changed("c", 51, { matches: false })]);
    expect(shown(list)).toBe("a");
    expect(list.rows.size).toBe(1);
  });

  it("takes no notice of what it knows already", () => {
    const list = applyChanges(loaded(), [changed("a", 41)]);
    const again = applyChanges(list, [changed("a", 41), changed("a", 10), gone("a", 12)]);
    expect(again).toBe(list);
  });

  it("leaves what only the broker can decide as it is", () => {
    const list = applyChanges(loaded(), [
      changed("a", 41, { matches: "if known" }),
      changed("d", 42, { matches: "if known" }),
    ]);
    expect(shown(list)).toBe("a c b");
  });

  it("breaks ties by id, as the pages do", () => {
    expect(shown(applyChanges(loaded(), [changed("b2", 20, { seq: 60 })]))).toBe("c b2 b a");
  });
});

describe("a frozen list", () => {
  it("changes rows where they stand", () => {
    const list = applyChanges(loaded(true), [changed("a", 41), changed("d", 42)]);
    expect(shown(list)).toBe("c b a");
    expect(list.rows.get("a")?.seq).toBe(41);
    expect(newer(list)).toBe(2);
  });

  it("keeps what is gone until it may move", () => {
    const list = applyChanges(loaded(true), [gone("b", 50)]);
    expect(shown(list)).toBe("c b a");
    expect(list.rows.get("b")?.leaving).toBe("gone");
    expect(newer(list)).toBe(1);
    const free = freeze(list, false);
    expect(shown(free)).toBe("c a");
    expect(free.rows.has("b")).toBe(false);
  });

  it("does not call the topmost row's own change news", () => {
    expect(newer(applyChanges(loaded(true), [changed("c", 44)]))).toBe(0);
  });

  it("applies all at once when asked, and stays frozen", () => {
    const list = settle(applyChanges(loaded(true), [changed("a", 41), changed("d", 42)]));
    expect(shown(list)).toBe("d a c b");
    expect(list.frozen).toBe(true);
    expect(newer(list)).toBe(0);
  });

  it("has nobody to protect while it is empty", () => {
    expect(shown(applyChanges(firstPage({ items: [] }, true), [changed("d", 40)]))).toBe("d");
  });

  it("takes a row back that came, went and came again", () => {
    const list = applyChanges(loaded(true), [gone("b", 50), changed("b", 51)]);
    expect(shown(freeze(list, false))).toBe("b c a");
  });
});

describe("further pages", () => {
  const first = firstPage({ items: [session("c", 30), session("b", 20)], nextCursor: "n" }, false);

  it("follow what is there, and keep newer states", () => {
    const moved = applyChanges(first, [changed("a", 40)]);
    const list = nextPage(moved, { items: [session("a", 10), session("z", 5)] });
    expect(shown(list)).toBe("a c b z");
    expect(list.rows.get("a")?.seq).toBe(40);
    expect(list.next).toBeUndefined();
    expect(list.end).toBeUndefined();
  });

  it("bring what lies beyond the end, which a change does not", () => {
    expect(shown(applyChanges(first, [changed("old", 1, { seq: 70 })]))).toBe("c b");
    const all = nextPage(first, { items: [session("z", 5)] });
    expect(shown(applyChanges(all, [changed("old", 1, { seq: 70 })]))).toBe("c b z old");
  });

  it("go to the end of a frozen list", () => {
    const list = nextPage(applyChanges(freeze(first, true), [changed("d", 40)]), {
      items: [session("a", 10)],
    });
    expect(shown(list)).toBe("c b a");
    expect(shown(freeze(list, false))).toBe("d c b a");
  });
});

it("compares times of different precision to the nanosecond", () => {
  expect(compareTimes("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z")).toBeLessThan(0);
  expect(compareTimes("2026-01-01T00:00:00.000000002Z", "2026-01-01T00:00:00.000000001Z")).toBeGreaterThan(0);
  expect(compareTimes("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.500Z")).toBe(0);
  expect(compareTimes(undefined, "2026-01-01T00:00:00Z")).toBeLessThan(0);
});
