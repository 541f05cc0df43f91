import type { Json, StoredEvent } from "../../../api/types";

/** What stands in a stored span beside the fields that the broker took from it. */

type Members = { [name: string]: Json };

/** The span's own name, where the body has one. */
export function spanName(event: StoredEvent): string | undefined {
  const name = spanOf(event)?.name;
  return typeof name === "string" && name !== "" ? name : undefined;
}

/** Attributes of the span or log record, as plain JSON; `{}` for what has none. */
export function attributesOf(event: StoredEvent): Members {
  const body = members(event.body);
  const list = spanOf(event)?.attributes ?? members(body?.logRecord)?.attributes ?? body?.attributes;
  if (!Array.isArray(list)) return members(list) ?? {};
  return keyValues(list, 0);
}

const INPUTS = [
  "gen_ai.input.messages",
  "gen_ai.prompt",
  "gen_ai.tool.call.arguments",
  "tool.input",
  "tool.parameters",
  "input.value",
  "query.input",
  "input",
];
const OUTPUTS = [
  "gen_ai.output.messages",
  "gen_ai.completion",
  "gen_ai.tool.call.result",
  "tool.output",
  "tool.result",
  "output.value",
  "output",
];

/** What went in and what came out, where an attribute says so; JSON in a text is read as JSON. */
export function inputOutput(event: StoredEvent): { input?: Json; output?: Json } {
  const attributes = attributesOf(event);
  const input = firstOf(attributes, INPUTS);
  const output = firstOf(attributes, OUTPUTS);
  return { ...(input !== undefined && { input }), ...(output !== undefined && { output }) };
}

function firstOf(attributes: Members, names: string[]): Json | undefined {
  for (const name of names) {
    const found = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
    if (found !== undefined && found !== "") return parsed(found);
  }
  return undefined;
}

/** JSON that was sent as a text. */
export function parsed(value: Json): Json {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value) as Json;
  } catch {
    return value;
  }
}

function spanOf(event: StoredEvent): Members | undefined {
  return members(members(event.body)?.span);
}

const DEEPEST = 40;

/** OTLP's `KeyValue` list. */
function keyValues(list: Json[], depth: number): Members {
  const found: [string, Json][] = [];
  for (const each of list) {
    const pair = members(each);
    if (typeof pair?.key === "string") found.push([pair.key, anyValue(pair.value, depth + 1)]);
  }
  return Object.fromEntries(found);
}

/** OTLP's `AnyValue`. Whole numbers that JavaScript cannot hold stay texts. */
function anyValue(value: Json | undefined, depth: number): Json {
  const one = members(value);
  if (one === undefined || depth > DEEPEST) return value ?? null;
  if (one.intValue !== undefined) {
    const whole = Number(one.intValue);
    return Number.isSafeInteger(whole) ? whole : one.intValue;
  }
  const list = members(one.arrayValue)?.values;
  if (one.arrayValue !== undefined)
    return Array.isArray(list) ? list.map((each) => anyValue(each, depth + 1)) : [];
  const pairs = members(one.kvlistValue)?.values;
  if (one.kvlistValue !== undefined) return Array.isArray(pairs) ? keyValues(pairs, depth + 1) : {};
  return one.stringValue ?? one.boolValue ?? one.doubleValue ?? one.bytesValue ?? null;
}

function members(value: Json | undefined): Members | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
}
