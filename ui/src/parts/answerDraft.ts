import type { Json } from "../api/types";
import type { Choice, Draft, Field, FieldErrors, NamedField } from "./answerSchema";

/** Between a field of an answer and what stands in it. */

/** What stands in the field before anybody touched it. */
export function draftOf(field: Field): Draft {
  switch (field.kind) {
    case "boolean":
      return field.initial === undefined ? "" : String(field.initial);
    case "choice": {
      const at = field.initial === undefined ? -1 : positionOf(field.choices, field.initial);
      return at === -1 ? "" : String(at);
    }
    case "choices":
      return (field.initial ?? [])
        .map((value) => positionOf(field.choices, value))
        .filter((at) => at !== -1)
        .map(String);
    case "text":
      return field.format === "date-time" ? localTime(field.initial) : (field.initial ?? "");
    case "number":
      return field.initial === undefined ? "" : String(field.initial);
    case "object":
      return Object.fromEntries(field.fields.map(({ name, field: inner }) => [name, draftOf(inner)]));
    case "json":
      return field.initial === undefined ? "" : JSON.stringify(field.initial, null, 2);
  }
}

function positionOf(choices: Choice[], value: Json): number {
  const wanted = JSON.stringify(value);
  return choices.findIndex((each) => JSON.stringify(each.value) === wanted);
}

export interface Reading {
  /** Absent where nothing was put in, or nothing that can be sent. */
  value?: Json;
  errors: FieldErrors;
}

/** The answer that the draft stands for. The broker checks it again. */
export function readDraft(field: Field, draft: Draft | undefined, place = "answer"): Reading {
  if (field.kind === "object") return readObject(field.fields, field.required, draft, place);
  if (field.kind === "choices") return readChoices(field, Array.isArray(draft) ? draft : [], place);
  const given = typeof draft === "string" ? draft : "";
  if (given.trim() === "") {
    return { errors: field.required ? { [place]: MISSING[field.kind] ?? "is needed" } : {} };
  }
  const read = readText(field, given);
  return "problem" in read ? { errors: { [place]: read.problem } } : { value: read.value, errors: {} };
}

const MISSING: Partial<Record<Field["kind"], string>> = {
  boolean: "Choose yes or no.",
  choice: "Choose one.",
  text: "This is needed.",
  number: "A number is needed.",
  json: "This is needed.",
};

type Read = { value: Json } | { problem: string };

function readText(field: Field, given: string): Read {
  switch (field.kind) {
    case "boolean":
      return { value: given === "true" };
    case "choice": {
      const found = field.choices[Number(given)];
      return found === undefined ? { problem: "Choose one." } : { value: found.value };
    }
    case "number":
      return readNumber(field, given);
    case "json":
      try {
        return { value: JSON.parse(given) as Json };
      } catch (error) {
        return { problem: `This is not JSON: ${error instanceof Error ? error.message : String(error)}` };
      }
    case "text":
      return readWords(field, given);
    default:
      return { problem: "This cannot be read." };
  }
}

function readWords(field: Extract<Field, { kind: "text" }>, given: string): Read {
  const length = [...given].length;
  if (field.shortest !== undefined && length < field.shortest)
    return { problem: `At least ${field.shortest} characters, please.` };
  if (field.longest !== undefined && length > field.longest)
    return { problem: `At most ${field.longest} characters, please: these are ${length}.` };
  if (field.format === "email" && !/^[^@\s]+@[^@\s]+$/.test(given))
    return { problem: "This is no e-mail address." };
  if (field.format === "uri" && !URL.canParse(given))
    return { problem: "This is no URI: it begins with https:, say." };
  if (field.format !== "date-time") return { value: given };
  const time = new Date(given);
  return Number.isNaN(time.getTime())
    ? { problem: "This is no date and time." }
    : { value: time.toISOString() };
}

function readNumber(field: Extract<Field, { kind: "number" }>, given: string): Read {
  const value = Number(given.trim());
  if (!Number.isFinite(value)) return { problem: "This is no number." };
  if (field.whole && !Number.isInteger(value)) return { problem: "A whole number, please." };
  if (field.least !== undefined && value < field.least)
    return { problem: `At least ${field.least}, please.` };
  if (field.most !== undefined && value > field.most) return { problem: `At most ${field.most}, please.` };
  return { value };
}

function readChoices(field: Extract<Field, { kind: "choices" }>, chosen: string[], place: string): Reading {
  const value = field.choices.filter((_, at) => chosen.includes(String(at))).map((each) => each.value);
  const { least = 0, most = Number.POSITIVE_INFINITY } = field;
  if (value.length === 0 && !field.required) return { errors: {} };
  if (value.length < least) return { errors: { [place]: `Choose at least ${least}.` } };
  if (value.length > most) return { errors: { [place]: `Choose at most ${most}.` } };
  return { value, errors: {} };
}

function readObject(
  fields: NamedField[],
  required: boolean,
  draft: Draft | undefined,
  place: string,
): Reading {
  const given = typeof draft === "object" && !Array.isArray(draft) ? draft : {};
  const value: [string, Json][] = [];
  let errors: FieldErrors = {};
  for (const { name, field } of fields) {
    const read = readDraft(field, Object.hasOwn(given, name) ? given[name] : undefined, `${place}.${name}`);
    errors = { ...errors, ...read.errors };
    if (read.value !== undefined) value.push([name, read.value]);
  }
  // An optional part that nobody touched is left out whole: its required fields are only required with it.
  if (!required && value.length === 0) return { errors: {} };
  return { value: Object.fromEntries(value), errors };
}

/** RFC 3339 as an `<input type="datetime-local">` has it, in the reader's time zone. */
function localTime(time: string | undefined): string {
  const then = time === undefined ? Number.NaN : Date.parse(time);
  if (Number.isNaN(then)) return "";
  const local = new Date(then - new Date(then).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 16);
}
