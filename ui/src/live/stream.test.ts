// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HIDDEN_MS, openStream, type Stream } from "./stream";

/** A broker whose connections are in the test's hands. */
class Broker {
  readonly urls: string[] = [];
  open = 0;
  #writer: ReadableStreamDefaultController<Uint8Array> | undefined;

  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    this.urls.push(url);
    this.open += 1;
    const body = new ReadableStream<Uint8Array>({
      start: (writer) => {
        this.#writer = writer;
        init.signal?.addEventListener("abort", () => {
          this.open -= 1;
          writer.error(new DOMException("aborted", "AbortError"));
        });
      },
    });
    return new Response(body);
  };

  /** Writes frames into the connection that was opened last. */
  async say(...frames: [event: string, id: number, data: unknown][]): Promise<void> {
    for (const [event, id, data] of frames) {
      const text = `event: ${event}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
      this.#writer?.enqueue(new TextEncoder().encode(text));
    }
    await settled();
  }
}

const hello = (from: number) =>
  ["hello", from, { log: "l", from, recovered: true }] as [string, number, object];
/** Time for what is read to be handed on, animation frames included. */
const settled = () => vi.advanceTimersByTimeAsync(200);

let broker: Broker;
let stream: Stream | undefined;
let visibility: DocumentVisibilityState;
let found: number[];

function look(now: DocumentVisibilityState): void {
  visibility = now;
  document.dispatchEvent(new Event("visibilitychange"));
}

async function follow(): Promise<void> {
  stream = openStream<number>({
    url: "/v1/stream",
    after: 0,
    log: "l",
    onFrames: (frames) => found.push(...frames.map((frame) => frame.data)),
  });
  await settled();
}

beforeEach(() => {
  vi.useFakeTimers();
  broker = new Broker();
  found = [];
  visibility = "visible";
  vi.stubGlobal("fetch", broker.fetch);
  vi.spyOn(document, "visibilityState", "get").mockImplementation(() => visibility);
});

afterEach(() => {
  stream?.close();
  stream = undefined;
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("a page in a tab that nobody sees", () => {
  it("has no connection until somebody looks, whatever the network does", async () => {
    visibility = "hidden";
    await follow();
    window.dispatchEvent(new Event("online"));
    await settled();
    expect(broker.urls).toEqual([]);
    look("visible");
    await settled();
    expect(broker.open).toBe(1);
  });

  it("gives its connection back after a few seconds, and goes on where it was", async () => {
    await follow();
    await broker.say(hello(0), ["e", 1, 1], ["e", 2, 2]);
    look("hidden");
    await vi.advanceTimersByTimeAsync(HIDDEN_MS + 100);
    expect(broker.open).toBe(0);
    window.dispatchEvent(new Event("online"));
    await settled();
    expect(broker.open).toBe(0);
    look("visible");
    await settled();
    expect(broker.open).toBe(1);
    expect(broker.urls.at(-1)).toBe("/v1/stream?after=2&log=l");
    await broker.say(hello(2), ["e", 3, 3]);
    expect(found).toEqual([1, 2, 3]);
  });

  it("keeps its connection where somebody comes back at once", async () => {
    await follow();
    look("hidden");
    await vi.advanceTimersByTimeAsync(HIDDEN_MS / 2);
    look("visible");
    await vi.advanceTimersByTimeAsync(HIDDEN_MS);
    expect(broker.urls).toHaveLength(1);
    expect(broker.open).toBe(1);
  });

  it("gives the connection back also where it was made anew while hidden", async () => {
    await follow();
    look("hidden");
    window.dispatchEvent(new Event("online"));
    await settled();
    expect(broker.open).toBe(0);
  });
});
