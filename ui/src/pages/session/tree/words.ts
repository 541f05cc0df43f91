import type { Entry, Json, Query } from "../../../api/types";
import { brief, count, duration, printable } from "../../../format";
import { isFailed } from "../../../live/kinds";

export type Tag = "event" | "stream" | "tool" | "question" | "a2a" | "llm" | "agent" | "log";

/** A row in words. */
export interface Words {
  tag: Tag;
  /** What it is: `web_search("weather NYC")`. */
  what: string;
  /** What came of it, behind an arrow. */
  result?: string;
  /** In grey behind it. */
  aside?: string;
  /** What went wrong. */
  failure?: string;
}

const ENDS: ReadonlySet<string> = new Set(["query.completed", "query.failed", "query.canceled"]);

export function wordsOf(entry: Entry): Words {
  const words = plainWords(entry);
  if (isFailed(entry)) words.failure = brief(entry.error ?? entry.message ?? "failed", 400);
  return words;
}

function plainWords(entry: Entry): Words {
  const { type } = entry;
  if (type === "stream") return streamWords(entry);
  if (type === "tool.call") {
    const words: Words = {
      tag: "tool",
      what: `${printable(entry.tool ?? "tool")}(${argument(entry.input)})`,
    };
    if (entry.output !== undefined) words.result = quoted(entry.output);
    return words;
  }
  if (isQuestion(entry)) return questionWords(entry);
  if (type === "task.updated" || type === "artifact.updated") {
    const words: Words = { tag: "a2a", what: `${printable(entry.taskId ?? "task")}` };
    if (entry.taskState !== undefined) words.what += ` (${printable(entry.taskState.replaceAll("_", " "))})`;
    if (type === "artifact.updated") words.what += " artifact";
    return withAside(words, entry.message ?? textOf(entry.output));
  }
  if (type.startsWith("llm.")) {
    const name = type === "llm.request" ? "" : ` ${type.slice(4)}`;
    const words: Words = { tag: "llm", what: `${printable(entry.model ?? "model")}${name}` };
    const said = textOf(entry.output);
    if (said !== "") words.result = quoted(said);
    return words;
  }
  if (type.startsWith("agent.")) {
    return withAside(
      { tag: "agent", what: `${printable(entry.agent ?? "agent")} ${type.slice(6)}` },
      entry.message,
    );
  }
  const words: Words = { tag: "event", what: printable(type) };
  if (ENDS.has(type) && entry.duration !== undefined) words.what += ` (${duration(entry.duration)})`;
  if (entry.output !== undefined) words.result = quoted(entry.output);
  return withAside(words, entry.message ?? (entry.input === undefined ? entry.name : quoted(entry.input)));
}

function streamWords(entry: Entry): Words {
  const tokens = typeof entry.tokens === "number" ? entry.tokens : 0;
  const many = `${count(tokens)} ${tokens === 1 ? "token" : "tokens"}`;
  if (entry.text === undefined) return { tag: "stream", what: `LLM chunks (${many})` };
  const text = entry.text.slice(-160).replace(/\s+/g, " ").trimStart();
  const words: Words = { tag: "stream", what: `LLM streaming… (${many})` };
  if (text !== "") words.aside = printable(entry.text.length > 160 ? `…${text}` : text);
  return words;
}

function questionWords(entry: Entry): Words {
  const { type } = entry;
  if (type === "query.waiting") return { tag: "question", what: "Waiting for response…" };
  if (type === "question.asked") {
    return withAside({ tag: "question", what: quoted(entry.message ?? entry.input ?? "asked") }, undefined);
  }
  const words: Words = { tag: "question", what: type.slice("question.".length) };
  if (entry.output !== undefined) words.result = quoted(entry.output);
  return words;
}

/** Whether the entry is about a question that somebody was asked. */
export function isQuestion(entry: Entry): boolean {
  return (
    entry.type.startsWith("question.") || (entry.type === "query.waiting" && entry.questionId !== undefined)
  );
}

/**
 * The entry at which a waiting query's question is answered: the newest that asks, unless it has its answer. Every row asks
 * for it: a query, which never changes, is looked through once.
 */
export function openQuestion(query: Query | undefined): Entry | undefined {
  if (query?.phase !== "waiting") return undefined;
  const known = openQuestions.get(query);
  if (known !== undefined) return known.entry;
  const entry = findOpenQuestion(query);
  openQuestions.set(query, { entry });
  return entry;
}

const openQuestions = new WeakMap<Query, { entry: Entry | undefined }>();

function findOpenQuestion(query: Query): Entry | undefined {
  const asked = query.events.findLast(asks);
  if (asked === undefined) return undefined;
  const isOver = query.events.some(
    (entry) => ANSWERS.has(entry.type) && entry.questionId === asked.questionId,
  );
  return isOver ? undefined : asked;
}

const ANSWERS: ReadonlySet<string> = new Set(["question.answered", "question.expired", "question.canceled"]);
const ASKING: ReadonlySet<string> = new Set(["input_required", "auth_required"]);

/** Whether somebody is asked something here. */
function asks(entry: Entry): boolean {
  if (entry.questionId === undefined) return false;
  if (entry.type === "task.updated") return ASKING.has(entry.taskState ?? "");
  return isQuestion(entry) && !ANSWERS.has(entry.type);
}

/** Whether there is a form, or an answer, to show of the entry. */
export function hasForm(entry: Entry): boolean {
  return entry.questionId !== undefined && (isQuestion(entry) || asks(entry));
}

function withAside(words: Words, aside: string | undefined): Words {
  const text = aside === undefined ? "" : brief(aside, 240);
  return text === "" ? words : { ...words, aside: text };
}

/** What a function was given: one value by itself, several by name. */
function argument(input: Json | undefined): string {
  if (input === undefined || input === null) return "";
  if (typeof input !== "object" || Array.isArray(input)) return quoted(input, 120);
  const names = Object.keys(input);
  const only = names.length === 1 ? input[names[0] ?? ""] : undefined;
  if (only !== undefined && typeof only !== "object") return quoted(only, 120);
  return brief(names.map((name) => `${name}: ${quoted(input[name] ?? null, 60)}`).join(", "), 160);
}

function quoted(value: Json, most = 200): string {
  const text = brief(value, most);
  return typeof value === "string" ? `"${text}"` : text;
}

/** The text in what a model gave, or was given: a plain text, an OpenAI message, OpenTelemetry parts, or a list of them. */
export function textOf(value: Json | undefined, depth = 0): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null || depth > 6) return "";
  if (Array.isArray(value)) {
    return value
      .map((each) => textOf(each, depth + 1))
      .filter((text) => text !== "")
      .join("\n\n");
  }
  for (const key of ["content", "parts", "text", "message"]) {
    const text = textOf(value[key], depth + 1);
    if (text !== "") return text;
  }
  return "";
}
