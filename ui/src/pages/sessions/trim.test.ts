import { describe, expect, it } from "vitest";
import type { SessionSummary } from "../../api/types";
import { applyChanges, type Change, firstPage, freeze, nextPage, type SessionList, settle } from "./list";
import { MOST_ADDED } from "./trim";

const START = Date.parse("2026-01-01T00:00:00Z");
const PAGE = 60;

function session(number: number): SessionSummary {
  const lastActivity = new Date(START + number * 1000).toISOString();
  const counts = { queries: 1, phases: {}, events: 1, toolCalls: 0, modelCalls: 0, chunks: 0, errors: 0 };
  const tokens = { input: 0, output: 0 };
  return { id: `s${number}`, status: "idle", counts, tokens, lastActivity, seq: number };
}

const changed = (number: number): Change => {
  return { id: `s${number}`, seq: number, session: session(number), matches: true };
};

/** What the API gives: those before `until`, newest first. */
function page(newest: number, oldest = 1) {
  const items = Array.from({ length: Math.min(PAGE, newest - oldest + 1) }, (_, at) => session(newest - at));
  return items.length < PAGE ? { items } : { items, nextCursor: "n" };
}

function come(list: SessionList, first: number, last: number): SessionList {
  let after = list;
  for (let number = first; number <= last; number += 5) {
    const numbers = Array.from({ length: Math.min(5, last - number + 1) }, (_, at) => number + at);
    after = applyChanges(after, numbers.map(changed));
  }
  return after;
}

const loaded = (frozen = false) => firstPage(page(100), frozen);
const topmost = (list: SessionList, many: number) => list.order.slice(0, many).join(" ");

/** Without gap and in order, from the newest on. */
function expectWhole(list: SessionList, newest: number): void {
  expect(list.order).toEqual(list.order.map((_, at) => `s${newest - at}`));
  expect(new Set(list.rows.keys())).toEqual(new Set(list.order));
}

describe("a list that sessions keep coming to", () => {
  it("stays within its bound", () => {
    let most = 0;
    let list = loaded();
    for (let number = 101; number <= 6_000; number += 5) {
      list = come(list, number, number + 4);
      most = Math.max(most, list.rows.size);
    }
    expect(most).toBeLessThanOrEqual(PAGE + MOST_ADDED);
    expectWhole(list, 6_000);
  });

  it("reads on where it was cut", () => {
    const list = come(loaded(), 101, 3_000);
    const end = Number(list.end?.id.slice(1));
    expect(list.order.at(-1)).toBe(list.end?.id);
    const next = list.next;
    if (next === undefined || !("until" in next)) throw new Error("it does not know where it goes on");
    // The one at the end comes again with what follows: exactly those are before that time.
    const again = Math.ceil((Date.parse(next.until) - START) / 1000) - 1;
    expect(again).toBe(end);
    const longer = nextPage(list, page(again));
    expect(longer.order).toHaveLength(list.order.length + PAGE - 1);
    expectWhole(longer, 3_000);
    expect(longer.next).toEqual({ cursor: "n" });
  });

  it("takes no notice of what happens beyond its end", () => {
    const list = come(loaded(), 101, 3_000);
    expect(applyChanges(list, [{ ...changed(1), seq: 9_999 }])).toBe(list);
  });

  it("keeps what somebody scrolled to", () => {
    let list = firstPage(page(3_000), true);
    for (let newest = 2_940; newest > 60; newest -= PAGE) list = nextPage(list, page(newest));
    list = settle(come(list, 3_001, 3_500));
    expect(list.order).toContain("s61");
    expectWhole(list, 3_500);
  });
});

describe("a list whose order is held while sessions keep coming", () => {
  const held = come(loaded(true), 101, 6_000);

  it("stays within its bound, and shows what it showed", () => {
    expect(held.rows.size).toBeLessThanOrEqual(PAGE + MOST_ADDED);
    expect(held.order).toEqual(loaded().order);
    expect(held.cut).toBeDefined();
  });

  it("ends above the first that it let go, once the order may change", () => {
    const list = freeze(held, false);
    expectWhole(list, 6_000);
    expect(list.cut).toBeUndefined();
    expect(list.end?.id).toBe(list.order.at(-1));
    expect(list.next).toHaveProperty("until");
    expect(topmost(list, 2)).toBe("s6000 s5999");
  });

  it("ends there too where one of those that it let go comes back", () => {
    const back = { ...changed(2_000), seq: 9_999, session: { ...session(9_999), id: "s2000" } };
    const list = settle(applyChanges(held, [back]));
    expect(topmost(list, 2)).toBe("s2000 s6000");
    expect(list.order.at(-1)).toBe(freeze(held, false).order.at(-1));
  });
});
