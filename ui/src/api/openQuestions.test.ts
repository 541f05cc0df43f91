import { afterEach, describe, expect, it, vi } from "vitest";
import { MOST_OPEN, readOpenQuestions, waitingHere } from "./openQuestions";
import type { Question, QuestionPage } from "./types";

afterEach(() => void vi.unstubAllGlobals());

/** A broker in which so many questions are open, newest first as the API gives them. */
function broker(many: number): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (url: string) => {
    asked.push(url);
    const parameters = new URL(url, "http://broker").searchParams;
    const from = Number(parameters.get("cursor") ?? 0);
    const to = Math.min(many, from + Number(parameters.get("limit")));
    const items = Array.from({ length: to - from }, (_, at) => ({
      id: `q${many - from - at}`,
      state: "open",
    }));
    const page = { items: items as Question[], ...(to < many ? { nextCursor: String(to) } : {}) };
    return Response.json(page satisfies QuestionPage);
  });
  return asked;
}

describe("what waits for a person", () => {
  it("is read to its end: the one that waits longest is among it", async () => {
    broker(1_201);
    const { items, hasMore } = await readOpenQuestions();
    expect(items).toHaveLength(1_201);
    expect(items.at(-1)?.id).toBe("q1");
    expect(hasMore).toBe(false);
  });

  it("is read up to a bound, and said to be more", async () => {
    const asked = broker(MOST_OPEN + 1);
    const open = await readOpenQuestions();
    expect(open.items).toHaveLength(MOST_OPEN);
    expect(open.hasMore).toBe(true);
    expect(asked).toHaveLength(2);
    broker(MOST_OPEN);
    expect((await readOpenQuestions()).hasMore).toBe(false);
  });

  it("is counted without what is answered elsewhere", () => {
    const items: Question[] = [
      { id: "a", state: "open" },
      { id: "b", state: "open", answerable: false },
      { id: "c", state: "open", answerable: true },
    ];
    expect(waitingHere({ items, hasMore: false })).toEqual({ count: 2, hasMore: false });
  });
});
