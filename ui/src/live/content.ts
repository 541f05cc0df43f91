import type { Json, StoredEvent } from "../api/types";

/** What an event says beside its columns, as far as a glance at its body tells. */
export interface Content {
  input?: Json;
  output?: Json;
  message?: string;
  questionUri?: string;
  finishReason?: string;
  /** Milliseconds, as the producer claims. */
  duration?: number;
  name?: string;
}

type Fields = Record<string, Json>;

const INPUT = [
  "tool.input",
  "query.input",
  "gen_ai.tool.call.arguments",
  "gen_ai.input.messages",
  "input.value",
  "tool.arguments",
  "arguments",
  "input",
];
const OUTPUT = [
  "tool.output",
  "query.output",
  "gen_ai.tool.call.result",
  "gen_ai.output.messages",
  "output.value",
  "result",
  "output",
];
/** A text longer than this is not looked into for JSON while it streams by. */
const MOST_JSON_TEXT = 100_000;

/**
 * The content of an event that has just come. The broker knows every convention there is; this knows the commonest, and
 * holds until the broker's own reading of the query is here.
 */
export function contentOf(event: StoredEvent): Content {
  const body = event.body;
  if (!isObject(body)) return typeof body === "string" ? { message: body } : {};
  const record = [body.span, body.logRecord].find(isObject);
  const fields = record === undefined ? ownFields(body) : recordFields(record);
  const found: Content = {};
  const input = first(fields, INPUT);
  const output = event.type === "question.answered" ? fields.answer : first(fields, OUTPUT);
  if (input !== undefined) found.input = structured(input);
  if (output !== undefined) found.output = structured(output);
  const message = event.type === "question.asked" ? (fields.text ?? fields.message) : fields.message;
  if (typeof message === "string") found.message = message;
  const uri = fields["question.uri"] ?? fields.questionUri;
  if (typeof uri === "string") found.questionUri = uri;
  const claimed = fields["duration.ms"] ?? fields.durationMs;
  if (typeof claimed === "number") found.duration = claimed;
  const reason = structured(fields["gen_ai.response.finish_reasons"] ?? fields.finish_reason ?? null);
  const one = Array.isArray(reason) ? reason[0] : reason;
  if (typeof one === "string") found.finishReason = one;
  const name = record?.name ?? record?.eventName;
  if (typeof name === "string" && name !== event.type) found.name = name;
  return found;
}

/** The pieces of text that a chunk of a completion brings, all choices together. */
export function textOfChunk(body: Json): string {
  if (!isObject(body) || !Array.isArray(body.choices)) return "";
  let text = "";
  for (const choice of body.choices) {
    const delta = isObject(choice) ? choice.delta : undefined;
    if (isObject(delta) && typeof delta.content === "string") text += delta.content;
  }
  return text;
}

export function isObject(value: Json | undefined): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value that a text is in JSON, if it is an object or an array; any other value as it is. */
export function structured(value: Json): Json {
  if (typeof value !== "string" || value.length > MOST_JSON_TEXT || !/^[[{]/.test(value)) return value;
  try {
    return JSON.parse(value) as Json;
  } catch {
    return value;
  }
}

function ownFields(body: Fields): Fields {
  return isObject(body.attributes) ? { ...body, ...body.attributes } : body;
}

function recordFields(record: Fields): Fields {
  const said = plain(record.body ?? null);
  const fields: Fields = isObject(said) ? { ...said } : typeof said === "string" ? { message: said } : {};
  return Object.assign(fields, plainAttributes(record.attributes ?? null));
}

function plainAttributes(list: Json): Fields {
  const fields: Fields = {};
  if (!Array.isArray(list)) return fields;
  for (const each of list) {
    if (isObject(each) && typeof each.key === "string") fields[each.key] = plain(each.value ?? null);
  }
  return fields;
}

/** An OTLP AnyValue as the value that it is. */
function plain(value: Json): Json {
  if (!isObject(value)) return value;
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.intValue !== undefined) return Number(value.intValue);
  if (value.doubleValue !== undefined) return value.doubleValue;
  if (value.boolValue !== undefined) return value.boolValue;
  if (isObject(value.arrayValue)) {
    return Array.isArray(value.arrayValue.values) ? value.arrayValue.values.map(plain) : [];
  }
  if (isObject(value.kvlistValue)) return plainAttributes(value.kvlistValue.values ?? null);
  return null;
}

function first(fields: Fields, names: readonly string[]): Json | undefined {
  for (const name of names) {
    if (fields[name] !== undefined && fields[name] !== null) return fields[name];
  }
  return undefined;
}
