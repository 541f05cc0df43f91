import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { SessionChange, SessionPage, SessionSummary } from "../../api/types";
import type { Frame } from "../../live/stream";
import { ASK_AGAIN_MS, gather } from "./gather";
import { EMPTY, type SessionList } from "./list";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function session(id: string, seq: number): SessionSummary {
  const counts = { queries: 1, phases: {}, events: 1, toolCalls: 0, modelCalls: 0, chunks: 0, errors: 0 };
  return { id, status: "idle", counts, tokens: { input: 0, output: 0 }, seq };
}

const frame = (id: string, seq: number): Frame<SessionChange> => {
  return { id: seq, event: "session", data: { session: session(id, seq) } };
};

/** A list of what a search finds, and what the broker is asked meanwhile: each question is answered by the test. */
function searched() {
  const asked: { answer(...items: SessionSummary[]): void; fail(): void }[] = [];
  const read = () =>
    new Promise<SessionPage>((resolve, reject) => {
      asked.push({
        answer: (...items) => resolve({ items, seq: 0, log: "l" }),
        fail: () => reject(new Error("away")),
      });
    });
  let list: SessionList = EMPTY;
  const gathered = gather({ q: "weather" }, read, (change) => {
    list = change(list);
  });
  return { asked, gathered, ids: () => list.order };
}

const askAgain = () => vi.advanceTimersByTimeAsync(ASK_AGAIN_MS + 500);

it("the broker is asked which sessions a search finds, once for many changes", async () => {
  const { asked, gathered, ids } = searched();
  gathered.add([frame("a", 1), frame("b", 2)]);
  await vi.advanceTimersByTimeAsync(300);
  gathered.add([frame("c", 3)]);
  await askAgain();
  expect(asked).toHaveLength(1);
  asked[0]?.answer(session("b", 2));
  await askAgain();
  expect(ids()).toEqual(["b"]);
  expect(asked).toHaveLength(1);
});

it("what changes while the broker is asked is asked for again", async () => {
  const { asked, gathered, ids } = searched();
  gathered.add([frame("a", 1)]);
  await askAgain();
  gathered.add([frame("b", 2)]);
  await askAgain();
  expect(asked).toHaveLength(1);
  asked[0]?.answer();
  await askAgain();
  asked[1]?.answer(session("b", 2));
  await askAgain();
  expect(ids()).toEqual(["b"]);
  expect(asked).toHaveLength(2);
});

it("also where the broker did not answer", async () => {
  const { asked, gathered } = searched();
  gathered.add([frame("a", 1)]);
  await askAgain();
  gathered.add([frame("b", 2)]);
  await askAgain();
  asked[0]?.fail();
  await askAgain();
  expect(asked).toHaveLength(2);
});

it("a list that is no longer looked at asks nothing", async () => {
  const { asked, gathered } = searched();
  gathered.add([frame("a", 1)]);
  await askAgain();
  gathered.add([frame("b", 2)]);
  await vi.advanceTimersByTimeAsync(300);
  gathered.stop();
  asked[0]?.answer();
  await askAgain();
  expect(asked).toHaveLength(1);
});
