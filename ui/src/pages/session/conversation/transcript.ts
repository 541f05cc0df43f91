import type { Json, Message } from "../../../api/types";

/** A conversation as people read it: a tool's result stands with the call that asked for it. */

export interface Call {
  key: string;
  id?: string;
  name: string;
  /** Parsed where it is JSON. */
  input: Json;
  /** Absent while nothing came back. */
  output?: Json;
  /** What went wrong. */
  error?: string;
}

export interface Turn {
  key: string;
  role: string;
  /** Who said it, where that is known beside the role. */
  name?: string;
  text: string;
  /** Parts that are no text: pictures, files, …, as they are. */
  others: Json[];
  reasoning?: string;
  refusal?: string;
  calls: Call[];
}

export function transcript(messages: Message[]): Turn[] {
  const turns: Turn[] = [];
  // Ids are used again by some models: a result belongs to the latest call that waits for it.
  const waiting = new Map<string, Call>();
  messages.forEach((message, at) => {
    if (message.role === "tool" || message.role === "function") {
      const id = message.tool_call_id ?? message.name;
      const call = id === undefined ? undefined : waiting.get(id);
      if (id !== undefined && call !== undefined) {
        call.output = contentOf(message);
        waiting.delete(id);
        return;
      }
    }
    const turn = turnOf(message, String(at));
    turns.push(turn);
    for (const call of turn.calls) waiting.set(call.id ?? call.name, call);
  });
  return turns;
}

function turnOf(message: Message, key: string): Turn {
  const { text, others } = read(message.content);
  const reasoning = message.reasoning_content ?? message.reasoning;
  const refusal = message.refusal;
  const isResult = message.role === "tool" || message.role === "function";
  return {
    key,
    role: message.role,
    ...(message.name !== undefined && { name: message.name }),
    text: isResult ? "" : text,
    others: isResult ? [] : others,
    ...(typeof reasoning === "string" && reasoning !== "" && { reasoning }),
    ...(typeof refusal === "string" && refusal !== "" && { refusal }),
    calls: isResult ? [resultAlone(message)] : callsOf(message),
  };
}

/** A result of which no call is known. */
function resultAlone(message: Message): Call {
  const id = message.tool_call_id;
  return {
    key: "0",
    ...(id !== undefined && { id }),
    name: message.name ?? "a tool",
    input: null,
    output: contentOf(message),
  };
}

function callsOf(message: Message): Call[] {
  if (!Array.isArray(message.tool_calls)) return [];
  return message.tool_calls.map((call, at) => ({
    key: String(at),
    ...(call.id !== undefined && { id: call.id }),
    name: call.function?.name ?? call.type ?? "a tool",
    input: parsed(call.function?.arguments ?? null),
  }));
}

function contentOf(message: Message): Json {
  const { text, others } = read(message.content);
  if (others.length > 0) return message.content ?? null;
  return parsed(text);
}

/** OpenAI content is a text, or parts; what else somebody sent is shown as it is. */
function read(content: Json | undefined): { text: string; others: Json[] } {
  if (content === undefined || content === null) return { text: "", others: [] };
  if (typeof content === "string") return { text: content, others: [] };
  if (!Array.isArray(content)) return { text: "", others: [content] };
  const texts: string[] = [];
  const others: Json[] = [];
  for (const part of content) {
    const said = typeof part === "string" ? part : textOf(part);
    if (said === undefined) others.push(part);
    else texts.push(said);
  }
  return { text: texts.join("\n\n"), others };
}

function textOf(part: Json): string | undefined {
  if (typeof part !== "object" || part === null || Array.isArray(part)) return undefined;
  for (const said of [part.text, part.content]) if (typeof said === "string") return said;
  return undefined;
}

/** JSON that was sent as a text. */
function parsed(value: Json): Json {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value) as Json;
  } catch {
    return value;
  }
}

/** The transcript as a document of its own. */
export function asMarkdown(turns: Turn[]): string {
  return `${turns.map(turnAsMarkdown).join("\n\n")}\n`;
}

function turnAsMarkdown(turn: Turn): string {
  const parts = [`## ${turn.role}${turn.name === undefined ? "" : ` (${turn.name})`}`];
  if (turn.text !== "") parts.push(turn.text);
  if (turn.refusal !== undefined) parts.push(turn.refusal);
  for (const other of turn.others) parts.push(fenced(other));
  for (const call of turn.calls) {
    parts.push(`**${call.name}**`, fenced(call.input));
    if (call.output !== undefined) parts.push("→", fenced(call.output));
    if (call.error !== undefined) parts.push(`failed: ${call.error}`);
  }
  return parts.join("\n\n");
}

/** A fence that is longer than any in the text: nothing in it can close it. */
function fenced(value: Json): string {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map((run) => run[0].length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${typeof value === "string" ? "" : "json"}\n${text}\n${fence}`;
}
