import type { Entry, Json } from "../../../api/types";
import { moment } from "../../../format";
import { isFailed } from "../../../live/kinds";
import { textOf } from "../tree/words";
import type { Call, Turn } from "./transcript";

/** Something of which both is known: when it was, and what was said. */
interface Anchor {
  time: number;
  isUser: boolean;
  text: string;
}

/**
 * The turns, and between them the tool calls that only spans or events tell of: those in no message. Messages have no
 * times: one stands where the same was given to a model or came out of it; one that is not found, with the one before it.
 */
export function withToolEntries(turns: Turn[], entries: readonly Entry[]): Turn[] {
  const calls = entries.filter((entry) => entry.type === "tool.call" && entry.seq !== undefined);
  const missing = withoutKnown(calls.sort(byTime), turns);
  if (missing.length === 0) return turns;
  const times = timesOf(turns, anchorsIn(entries));
  const found: Turn[] = [];
  let next = 0;
  turns.forEach((turn, at) => {
    const time = times[at] ?? Number.NEGATIVE_INFINITY;
    for (; next < missing.length && timeOf(missing[next]) < time; next++) found.push(turnOf(missing[next]));
    found.push(turn);
  });
  return [...found, ...missing.slice(next).map(turnOf)];
}

/** The entries of calls that no message has: by the call's id, or by its name and what it was given. */
function withoutKnown(entries: Entry[], turns: Turn[]): Entry[] {
  const ids = new Set<string>();
  const unnamed = new Map<string, number>();
  for (const call of turns.flatMap((turn) => turn.calls)) {
    if (call.id !== undefined) ids.add(call.id);
    const what = JSON.stringify([call.name, call.input]);
    unnamed.set(what, (unnamed.get(what) ?? 0) + 1);
  }
  return entries.filter((entry) => {
    if (entry.toolCallId !== undefined) return !ids.has(entry.toolCallId);
    const what = JSON.stringify([nameOf(entry), inputOf(entry)]);
    const many = unnamed.get(what) ?? 0;
    unnamed.set(what, many - 1);
    return many <= 0;
  });
}

function anchorsIn(entries: readonly Entry[]): Anchor[] {
  const anchors: Anchor[] = [];
  for (const entry of entries) {
    if (entry.type === "tool.call") continue;
    const time = timeOf(entry);
    const asked = textOf(Array.isArray(entry.input) ? (entry.input.at(-1) ?? null) : entry.input);
    if (asked !== "") anchors.push({ time, isUser: true, text: asked });
    const said = textOf(entry.output);
    if (said !== "") anchors.push({ time, isUser: false, text: said });
  }
  return anchors.sort((one, other) => one.time - other.time);
}

/** When each turn was, never earlier than the one before it. */
function timesOf(turns: Turn[], anchors: Anchor[]): number[] {
  let time = Number.NEGATIVE_INFINITY;
  let from = 0;
  return turns.map((turn) => {
    const isUser = turn.role === "user";
    const at =
      turn.text === ""
        ? -1
        : anchors.findIndex(
            (each, index) => index >= from && each.isUser === isUser && each.text === turn.text,
          );
    const anchor = anchors[at];
    if (anchor !== undefined) {
      from = at + 1;
      time = Math.max(time, anchor.time);
    }
    return time;
  });
}

function turnOf(entry: Entry | undefined): Turn {
  return {
    key: `tool:${entry?.seq}`,
    role: "tool",
    text: "",
    others: [],
    calls: entry === undefined ? [] : [callOf(entry)],
  };
}

function callOf(entry: Entry): Call {
  return {
    key: "0",
    ...(entry.toolCallId !== undefined && { id: entry.toolCallId }),
    name: nameOf(entry),
    input: inputOf(entry),
    ...(entry.output !== undefined && { output: entry.output }),
    ...(isFailed(entry) && { error: entry.error ?? entry.message ?? "failed" }),
  };
}

function nameOf(entry: Entry): string {
  return entry.tool ?? entry.name ?? "a tool";
}

function inputOf(entry: Entry): Json {
  return entry.input ?? null;
}

function timeOf(entry: Entry | undefined): number {
  return moment(entry?.ts) ?? 0;
}

function byTime(one: Entry, other: Entry): number {
  return timeOf(one) - timeOf(other) || (one.seq ?? 0) - (other.seq ?? 0);
}
