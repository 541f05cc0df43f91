import type { Session, StoredEvent } from "../api/types";

/** What the tests of the live view begin with. */

export const START = Date.parse("2026-01-01T10:00:00Z");

/** A session in which nothing has happened. */
export function empty(over: Partial<Session> = {}): Session {
  return {
    id: "s",
    status: "idle",
    counts: { queries: 0, phases: {}, events: 0, toolCalls: 0, modelCalls: 0, chunks: 0, errors: 0 },
    tokens: { input: 0, output: 0 },
    queries: {},
    seq: 0,
    log: "log",
    ...over,
  };
}

/** An event at position `seq`, so many seconds after the start. */
export function event(seq: number, type: string, over: Partial<StoredEvent> = {}): StoredEvent {
  return {
    seq,
    sessionSeq: seq,
    id: `e${seq}`,
    kind: "event",
    type,
    time: new Date(START + seq * 1000).toISOString(),
    query: "q",
    body: {},
    ...over,
  };
}
