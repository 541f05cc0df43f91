import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Entry, QueryAnswer, Session, StoredEvent } from "../api/types";
import { foldPause } from "./fold";
import { SessionStore } from "./store";
import type { StreamOptions } from "./stream";

const streams: StreamOptions<StoredEvent>[] = [];
vi.mock("./stream", () => ({
  openStream: (options: StreamOptions<StoredEvent>) => {
    streams.push(options);
    return { close: () => undefined };
  },
}));

const START = Date.parse("2026-01-01T10:00:00Z");
const FRAME_MS = 16;

function sessionOf(many: number): Session {
  const events = Array.from(
    { length: many },
    (_, index): Entry => ({ seq: index + 1, type: "note", ts: new Date(START + index).toISOString() }),
  );
  return {
    id: "s",
    status: "active",
    counts: {
      queries: 1,
      phases: { running: 1 },
      events: many,
      toolCalls: 0,
      modelCalls: 0,
      chunks: 0,
      errors: 0,
    },
    tokens: { input: 0, output: 0 },
    queries: { q: { phase: "running", mcpSessions: {}, tokens: { input: 0, output: 0 }, events } },
    seq: many,
    log: "log",
  };
}

function serve(session: Session, query?: QueryAnswer): void {
  vi.stubGlobal("fetch", async (url: string) => {
    return new Response(JSON.stringify(url.startsWith("/v1/queries/") ? query : session));
  });
}

function frame(seq: number) {
  const data: StoredEvent = {
    seq,
    sessionSeq: seq,
    id: `e${seq}`,
    kind: "event",
    type: "note",
    time: new Date(START + seq).toISOString(),
    query: "q",
    body: {},
  };
  return { id: seq, event: "event", data };
}

/** A store that shows a session of so many events, and how often what it shows of the query has changed. */
async function opened(many: number) {
  serve(sessionOf(many));
  const store = new SessionStore("s");
  const states = new Set<unknown>();
  const close = store.subscribe(() => states.add(store.shown().session?.queries.q));
  await vi.advanceTimersByTimeAsync(100);
  const entries = () => store.shown().session?.queries.q?.events.map((entry) => entry.seq) ?? [];
  const receive = (seq: number) => streams.at(-1)?.onFrames([frame(seq)]);
  return { store, states, entries, receive, close };
}

describe("a session that is followed", () => {
  beforeEach(() => vi.useFakeTimers({ now: START }));
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("changes with every frame while it is small", async () => {
    const { states, entries, receive, close } = await opened(10);
    for (let seq = 11; seq <= 40; seq++) {
      receive(seq);
      expect(entries().at(-1)).toBe(seq);
      await vi.advanceTimersByTimeAsync(FRAME_MS);
    }
    expect(states.size).toBe(31);
    close();
  });

  it("changes a few times in a second where it is large, and misses nothing", async () => {
    const { states, entries, receive, close } = await opened(50_000);
    for (let seq = 50_001; seq <= 50_060; seq++) {
      receive(seq);
      await vi.advanceTimersByTimeAsync(FRAME_MS);
    }
    expect(states.size).toBeLessThan(8);
    await vi.advanceTimersByTimeAsync(250);
    expect(entries().slice(49_999)).toEqual(Array.from({ length: 61 }, (_, index) => 50_000 + index));
    close();
  });

  it("takes what comes after a while at once, also where it is large", async () => {
    const { entries, receive, close } = await opened(50_000);
    receive(50_001);
    expect(entries().at(-1)).toBe(50_001);
    close();
  });

  it("has another revision when something happened, not when the broker was asked what had", async () => {
    const { store, receive, close } = await opened(1);
    const [first] = Object.values(sessionOf(2).queries);
    serve(sessionOf(2), { ...first, name: "q", session: "s", seq: 2, log: "log" } as QueryAnswer);
    receive(2);
    const before = store.shown();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(store.shown().session).not.toBe(before.session);
    expect(store.shown().revisions).toEqual(before.revisions);
    expect(store.shown().readings).toBe(before.readings + 1);
    close();
  });
});

describe("the pause between folds", () => {
  it("is none for small queries, and never long", () => {
    expect([0, 5_000, 20_000, 150_000].map(foldPause)).toEqual([0, 0, 100, 250]);
  });
});
