import { createParser } from "eventsource-parser";
import { ApiError, errorOf } from "../api/http";
import type { Hello } from "../api/types";

export type LiveState = "connecting" | "live" | "away" | "closed";

/** One frame of a stream: its position, its SSE event name, its JSON. */
export interface Frame<T> {
  id: number;
  event: string;
  data: T;
}

export interface StreamOptions<T> {
  /** The stream's path, with its filters but without a cursor. */
  url: string;
  /** The position after which to begin; absent: the route's own default. */
  after?: number;
  /** The identity of the log that `after` belongs to. */
  log?: string;
  /** All frames that came since the last animation frame. Each exactly once, in order, over all reconnects. */
  onFrames(frames: Frame<T>[]): void;
  onState?(state: LiveState): void;
  /** The broker says that something may have been missed: take a new snapshot. */
  onGap?(hello: Hello): void;
  /** The broker refused, and would again. */
  onRefused?(error: ApiError): void;
  /** `data: [DONE]`: there will be no more. */
  onDone?(): void;
}

export interface Stream {
  close(): void;
}

/** The broker sends a comment every 15 s; a connection that is silent for longer than this is dead. */
const SILENCE_MS = 40_000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;
/** A page that nobody sees gives its connection back after this time: browsers have six for a host, over all tabs. */
export const HIDDEN_MS = 5_000;

/**
 * Follow a stream until `close`: it comes back by itself, after the last frame that it got. A page that nobody sees has
 * no connection: it begins, or goes on where it was, when somebody looks.
 */
export function openStream<T>(options: StreamOptions<T>): Stream {
  const live = new LiveStream(options);
  live.start();
  return live;
}

class LiveStream<T> implements Stream {
  #after: number | undefined;
  #log: string | undefined;
  #closed = false;
  #connection: AbortController | undefined;
  #retryMs = FIRST_RETRY_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setTimeout> | undefined;
  #hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  #batch: Frame<T>[] = [];
  #scheduled = false;

  constructor(private readonly options: StreamOptions<T>) {
    this.#after = options.after;
    this.#log = options.log;
  }

  start(): void {
    document.addEventListener("visibilitychange", this.#onVisibility);
    window.addEventListener("online", this.#reconnectNow);
    this.#reconnectNow();
  }

  close(): void {
    this.#closed = true;
    document.removeEventListener("visibilitychange", this.#onVisibility);
    window.removeEventListener("online", this.#reconnectNow);
    clearTimeout(this.#timer);
    clearTimeout(this.#watch);
    clearTimeout(this.#hiddenTimer);
    this.#connection?.abort();
    this.#batch = [];
    this.options.onState?.("closed");
  }

  readonly #onVisibility = (): void => {
    clearTimeout(this.#hiddenTimer);
    if (isHidden()) {
      this.#hiddenTimer = setTimeout(() => this.#drop(), HIDDEN_MS);
    } else if (this.#connection === undefined) {
      this.#reconnectNow();
    }
  };

  readonly #reconnectNow = (): void => {
    if (this.#closed) return;
    this.#drop();
    this.#retryMs = FIRST_RETRY_MS;
    if (!isHidden()) void this.#connect();
  };

  #drop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#watch);
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.abort();
  }

  async #connect(): Promise<void> {
    const connection = new AbortController();
    this.#connection = connection;
    this.options.onState?.("connecting");
    try {
      const response = await fetch(this.#url(), {
        headers: { accept: "text/event-stream" },
        cache: "no-store",
        signal: connection.signal,
      });
      if (!response.ok || response.body === null) throw await errorOf(response);
      this.options.onState?.("live");
      await this.#read(response.body, connection);
    } catch (error) {
      if (this.#connection !== connection) return;
      if (error instanceof ApiError && !error.isPassing) {
        this.close();
        this.options.onRefused?.(error);
        return;
      }
    }
    if (this.#connection === connection && !this.#closed) this.#retry();
  }

  #url(): string {
    const url = new URL(this.options.url, window.location.origin);
    if (this.#after !== undefined) url.searchParams.set("after", String(this.#after));
    if (this.#after !== undefined && this.#log !== undefined) url.searchParams.set("log", this.#log);
    return url.pathname + url.search;
  }

  async #read(body: ReadableStream<Uint8Array>, connection: AbortController): Promise<void> {
    const parser = createParser({
      onEvent: (message) => {
        if (this.#connection === connection) this.#take(message.event, message.id, message.data);
      },
    });
    const reader = body
      .pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
      .getReader();
    this.#expectBytes(connection);
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#connection !== connection) return;
      this.#expectBytes(connection);
      parser.feed(value);
    }
  }

  #expectBytes(connection: AbortController): void {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      if (this.#connection === connection) this.#reconnectNow();
    }, SILENCE_MS);
  }

  #take(event: string | undefined, id: string | undefined, data: string): void {
    if (event === "hello") {
      this.#greet(JSON.parse(data) as Hello);
      return;
    }
    if (event === "reconnect") return;
    if (data === "[DONE]") {
      this.#flush();
      this.close();
      this.options.onDone?.();
      return;
    }
    const position =
      id === undefined ? (this.#after ?? 0) : Number(id.includes(":") ? id.split(":").pop() : id);
    if (Number.isFinite(position)) this.#after = position;
    this.#batch.push({ id: position, event: event ?? "message", data: JSON.parse(data) as T });
    if (this.#scheduled) return;
    this.#scheduled = true;
    // A page that is not shown gets no animation frames.
    if (isHidden()) setTimeout(this.#flush, 100);
    else requestAnimationFrame(this.#flush);
  }

  #greet(hello: Hello): void {
    this.#retryMs = FIRST_RETRY_MS;
    const isFirst = this.#log === undefined;
    this.#log = hello.log;
    if (!hello.recovered) {
      this.#after = hello.from;
      this.#batch = [];
      if (!isFirst || this.options.after !== undefined) this.options.onGap?.(hello);
    } else if (this.#after === undefined) {
      this.#after = hello.from;
    }
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    if (this.#batch.length === 0 || this.#closed) return;
    const frames = this.#batch;
    this.#batch = [];
    this.options.onFrames(frames);
  };

  #retry(): void {
    this.#connection = undefined;
    clearTimeout(this.#watch);
    this.options.onState?.("away");
    const pause = this.#retryMs * (0.5 + Math.random() / 2);
    this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
    this.#timer = setTimeout(() => {
      if (!this.#closed && !isHidden()) void this.#connect();
    }, pause);
  }
}

function isHidden(): boolean {
  return document.visibilityState === "hidden";
}
