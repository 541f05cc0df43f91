import { describe, expect, it } from "vitest";
import type { Question } from "../../api/types";
import { inboxRows, neighbour, nextToAnswer } from "./inboxRows";

const question = (id: string, more: Partial<Question> = {}): Question => ({ id, state: "open", ...more });
const keys = (rows: ReturnType<typeof inboxRows>) => rows.map((row) => row.key);

describe("the rows of the inbox", () => {
  it("begin with what is urgent: escalated, then due soon, then waiting long; what is answered elsewhere last", () => {
    const open = [
      question("old", { askedAt: "2026-01-01T00:00:00Z" }),
      question("elsewhere", { askedAt: "2025-01-01T00:00:00Z", answerable: false }),
      question("new", { askedAt: "2026-01-02T00:00:00Z" }),
      question("due", { askedAt: "2026-01-03T00:00:00Z", deadline: "2026-01-03T01:00:00Z" }),
      question("escalated", { askedAt: "2026-01-03T00:00:00Z", escalatedAt: "2026-01-03T00:30:00Z" }),
    ];
    expect(keys(inboxRows(open, []))).toEqual(["#waiting", "escalated", "due", "old", "new", "elsewhere"]);
  });

  it("end with what is over, the latest first, and have no question twice", () => {
    const over = [
      question("a", { state: "answered", endedAt: "2026-01-01T00:00:00Z" }),
      question("b", { state: "canceled", endedAt: "2026-01-02T00:00:00Z" }),
      question("open"),
    ];
    expect(keys(inboxRows([question("open")], over))).toEqual(["#waiting", "open", "#over", "b", "a"]);
  });

  it("have the most urgent one that can be answered here after the one that was", () => {
    const open = [
      question("elsewhere", { answerable: false }),
      question("x", { askedAt: "2026-01-01T00:00:00Z" }),
      question("y", { askedAt: "2026-01-02T00:00:00Z" }),
    ];
    expect(nextToAnswer(inboxRows(open, []), "z")).toBe("x");
    expect(nextToAnswer(inboxRows(open, []), "x")).toBe("y");
    expect(nextToAnswer(inboxRows(open.slice(0, 2), [question("over", { state: "answered" })]), "x")).toBe(
      undefined,
    );
  });

  it("say that there are more than were read", () => {
    expect(inboxRows([question("x")], [], true)[0]).toMatchObject({ count: 1, hasMore: true });
  });

  it("are walked over one by one, past the headings", () => {
    const rows = inboxRows([question("x")], [question("y", { state: "answered" })]);
    expect(neighbour(rows, undefined, 1)).toBe("x");
    expect(neighbour(rows, "x", 1)).toBe("y");
    expect(neighbour(rows, "y", 1)).toBe("y");
    expect(neighbour(rows, "y", -1)).toBe("x");
    expect(neighbour(rows, "gone", 1)).toBe("x");
    expect(neighbour(inboxRows([], []), undefined, 1)).toBeUndefined();
  });
});
