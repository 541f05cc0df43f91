import type { Json, StoredEvent } from "../../../api/types";
import { moment } from "../../../format";
import { isObject } from "../../../live/content";

/** One thing that grows while a completion streams: its text, its reasoning, the arguments of a tool call. */
export interface Channel {
  kind: "text" | "reasoning" | "tool";
  /** Of a tool call. */
  name?: string;
  text: string;
  /** After step `steps[i]` it was `ends[i]` characters long. */
  steps: number[];
  ends: number[];
}

/** A recorded stream, to be played again. */
export interface Track {
  channels: readonly Channel[];
  /** When each chunk came, in milliseconds from the first, long gaps shortened. */
  times: readonly number[];
  /** Tokens up to and with each chunk. */
  tokens: readonly number[];
  total: number;
}

/** What there is to see at one moment. */
export interface Scene {
  channels: { kind: Channel["kind"]; name?: string; text: string }[];
  tokens: number;
}

/** A pause of more milliseconds than this is played as one of so many, as the broker's own replay does. */
export const LONGEST_GAP_MS = 10_000;

/** The track of these chunks. They are put in the order of their times; what came at one time keeps its order. */
export function trackOf(chunks: readonly StoredEvent[]): Track {
  const ordered = chunks
    .filter((chunk) => chunk.type !== "stream.completed")
    .map((chunk) => ({ chunk, when: moment(chunk.time) ?? 0 }))
    .sort((one, other) => one.when - other.when || one.chunk.seq - other.chunk.seq);
  const recorder = new Recorder();
  const times: number[] = [];
  const tokens: number[] = [];
  let counted = 0;
  let at = 0;
  let before: number | undefined;
  for (const [step, { chunk, when }] of ordered.entries()) {
    at += before === undefined ? 0 : Math.min(when - before, LONGEST_GAP_MS);
    before = when;
    if (chunk.type === "llm.chunk") counted = Math.max(counted + 1, chunk.outputTokens ?? 0);
    else if (chunk.type === "llm.usage") counted = chunk.outputTokens ?? counted;
    recorder.add(step, chunk.body);
    times.push(at);
    tokens.push(counted);
  }
  return { channels: recorder.channels, times, tokens, total: at };
}

/** How many chunks have come `ms` after the first: the first came at 0. */
export function stepsAt(track: Track, ms: number): number {
  return lastAtMost(track.times, ms) + 1;
}

/** What there is to see once so many chunks have come. */
export function sceneAt(track: Track, steps: number): Scene {
  const last = Math.min(steps, track.times.length) - 1;
  const channels: Scene["channels"] = [];
  for (const channel of track.channels) {
    const place = lastAtMost(channel.steps, last);
    if (place < 0) continue;
    const { kind, name } = channel;
    const text = channel.text.slice(0, wholeCharacters(channel.text, channel.ends[place] ?? 0));
    channels.push(name === undefined ? { kind, text } : { kind, name, text });
  }
  return { channels, tokens: last < 0 ? 0 : (track.tokens[last] ?? 0) };
}

/** Everything that was streamed as text. */
export function wholeText(track: Track): string {
  return track.channels
    .filter((channel) => channel.kind === "text")
    .map((channel) => channel.text)
    .join("\n\n");
}

/** A cut in the middle of a character that is two units long shows neither of them. */
function wholeCharacters(text: string, end: number): number {
  const isCut = /[\ud800-\udbff]/.test(text.charAt(end - 1)) && /[\udc00-\udfff]/.test(text.charAt(end));
  return isCut ? end - 1 : end;
}

/** The place of the last of these ascending numbers that is not above the limit; -1 for none. */
function lastAtMost(numbers: readonly number[], limit: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] ?? 0) <= limit) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Collects what chunks bring; texts are joined once, at the end. */
class Recorder {
  readonly #channels = new Map<string, { channel: Channel; parts: string[]; length: number }>();

  get channels(): Channel[] {
    return [...this.#channels.values()].map(({ channel, parts }) => ({ ...channel, text: parts.join("") }));
  }

  add(step: number, body: Json): void {
    if (!isObject(body) || !Array.isArray(body.choices)) return;
    for (const choice of body.choices) {
      if (!isObject(choice) || !isObject(choice.delta)) continue;
      const { delta } = choice;
      const of = String(choice.index ?? 0);
      this.#grow(`${of}:text`, "text", step, delta.content ?? delta.refusal);
      this.#grow(`${of}:reasoning`, "reasoning", step, delta.reasoning_content ?? delta.reasoning);
      for (const call of Array.isArray(delta.tool_calls) ? delta.tool_calls : []) {
        if (!isObject(call)) continue;
        const told = isObject(call.function) ? call.function : {};
        const key = `${of}:tool:${String(call.index ?? 0)}`;
        this.#grow(key, "tool", step, told.arguments ?? "", told.name);
      }
    }
  }

  #grow(key: string, kind: Channel["kind"], step: number, text: Json | undefined, name?: Json): void {
    if (typeof text !== "string" || (text === "" && kind !== "tool")) return;
    let found = this.#channels.get(key);
    if (found === undefined) {
      found = { channel: { kind, text: "", steps: [], ends: [] }, parts: [], length: 0 };
      this.#channels.set(key, found);
    }
    if (typeof name === "string" && name !== "") found.channel.name ??= name;
    found.parts.push(text);
    found.length += text.length;
    found.channel.steps.push(step);
    found.channel.ends.push(found.length);
  }
}
