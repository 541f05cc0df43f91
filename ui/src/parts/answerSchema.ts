import type { Json } from "../api/types";

/**
 * From the JSON Schema of an answer to the fields of a form, and from what was put into them to the answer.
 * What no field can show (lists of objects, alternatives, …) is written as JSON.
 */

export interface Choice {
  value: Json;
  label: string;
}

interface Common {
  title?: string;
  description?: string;
  required: boolean;
}

export type TextFormat = "text" | "email" | "uri" | "date" | "date-time";

export type Field = Common &
  (
    | { kind: "boolean"; initial?: boolean }
    | { kind: "choice"; choices: Choice[]; initial?: Json }
    | { kind: "choices"; choices: Choice[]; initial?: Json[]; least?: number; most?: number }
    | {
        kind: "text";
        format: TextFormat;
        multiline: boolean;
        initial?: string;
        shortest?: number;
        longest?: number;
      }
    | { kind: "number"; whole: boolean; initial?: number; least?: number; most?: number }
    | { kind: "object"; fields: NamedField[] }
    | { kind: "json"; initial?: Json }
  );

export interface NamedField {
  name: string;
  field: Field;
}

/** What stands in a field: text; positions of choices; what stands in an object's fields. */
export type Draft = string | string[] | { [name: string]: Draft };

/** Errors by place, named as the broker names it: `answer`, `answer.count`, `answer.tags[0]`. */
export type FieldErrors = Record<string, string>;

type Schema = { [key: string]: Json };

const DEEPEST = 4;
const MANY_CHARACTERS = 200;
const MOST_CHOICES = 500;
const FORMATS: readonly Exclude<TextFormat, "text">[] = ["email", "uri", "date", "date-time"];

/** The field of a question's answer. Options go before the schema: an answer must be one of them. */
export function fieldOf(schema: Json | undefined, options?: Json[]): Field {
  if (options !== undefined && options.length > 0) {
    return { kind: "choice", choices: options.map((value) => choice(value)), required: true };
  }
  if (!isSchema(schema)) return { kind: "text", format: "text", multiline: true, required: true };
  return toField(schema, schema, true, 0);
}

function toField(given: Schema, root: Schema, required: boolean, depth: number): Field {
  const schema = resolved(given, root);
  const title = text(schema.title);
  const description = text(schema.description);
  const common: Common = {
    required,
    ...(title !== undefined && { title }),
    ...(description !== undefined && { description }),
  };
  const initial = schema.default;
  const withInitial = initial === undefined ? {} : { initial };
  const choices = choicesOf(schema);
  if (choices !== undefined) return { ...common, kind: "choice", choices, ...withInitial };
  switch (typeOf(schema)) {
    case "boolean":
      return { ...common, kind: "boolean", ...(typeof initial === "boolean" && { initial }) };
    case "string":
      return textField(schema, common);
    case "number":
    case "integer":
      return numberField(schema, common);
    case "array":
      return listField(schema, root, common) ?? { ...common, kind: "json", ...withInitial };
    case "object": {
      const fields = depth < DEEPEST ? fieldsOf(schema, root, depth) : [];
      if (fields.length > 0) return { ...common, kind: "object", fields };
    }
  }
  return { ...common, kind: "json", ...withInitial };
}

/** The schema with its reference followed, and without the alternative `null`. */
function resolved(given: Schema, root: Schema): Schema {
  let schema = given;
  for (let step = 0; step < 8; step++) {
    const { $ref, anyOf, oneOf, allOf, ...rest } = schema;
    let inner: Json | undefined;
    if (typeof $ref === "string") inner = referred($ref, root);
    else if (Array.isArray(allOf) && allOf.length === 1) inner = allOf[0];
    else {
      const alternatives = Array.isArray(anyOf) ? anyOf : Array.isArray(oneOf) ? oneOf : undefined;
      const real = alternatives?.filter((each) => !(isSchema(each) && each.type === "null"));
      if (
        alternatives !== undefined &&
        real?.length === 1 &&
        !("const" in (isSchema(real[0]) ? real[0] : {}))
      )
        inner = real[0];
    }
    if (!isSchema(inner)) return schema;
    schema = { ...inner, ...rest };
  }
  return schema;
}

function referred(reference: string, root: Schema): Json | undefined {
  if (!reference.startsWith("#")) return undefined;
  let at: Json | undefined = root;
  for (const part of reference.slice(1).split("/").filter(Boolean)) {
    const name = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    at = isSchema(at) && Object.hasOwn(at, name) ? at[name] : undefined;
  }
  return at;
}

function typeOf(schema: Schema): string | undefined {
  if (typeof schema.type === "string") return schema.type;
  if (Array.isArray(schema.type)) {
    const real = schema.type.filter((each) => each !== "null");
    return real.length === 1 ? text(real[0]) : undefined;
  }
  return isSchema(schema.properties) ? "object" : undefined;
}

/** `enum` (MCP: with `enumNames`), `const`, or alternatives that are each a `const` with a title. */
function choicesOf(schema: Schema): Choice[] | undefined {
  if (Array.isArray(schema.enum) && schema.enum.length > 0) {
    const names = Array.isArray(schema.enumNames) ? schema.enumNames : [];
    return schema.enum.slice(0, MOST_CHOICES).map((value, index) => choice(value, names[index]));
  }
  if (schema.const !== undefined) return [choice(schema.const)];
  const alternatives = Array.isArray(schema.oneOf) ? schema.oneOf : schema.anyOf;
  if (!Array.isArray(alternatives) || alternatives.length === 0) return undefined;
  const found: Choice[] = [];
  for (const each of alternatives) {
    if (!isSchema(each) || each.const === undefined) return undefined;
    found.push(choice(each.const, each.title));
  }
  return found;
}

function choice(value: Json, title?: Json): Choice {
  const label = text(title) ?? (typeof value === "string" && value !== "" ? value : JSON.stringify(value));
  return { value, label };
}

function textField(schema: Schema, common: Common): Field {
  const longest = number(schema.maxLength);
  const shortest = number(schema.minLength);
  const initial = text(schema.default);
  const format = FORMATS.find((each) => each === schema.format) ?? "text";
  const isLong = (longest ?? 0) > MANY_CHARACTERS || (initial ?? "").length > MANY_CHARACTERS;
  return {
    ...common,
    kind: "text",
    format,
    multiline: format === "text" && (isLong || (initial ?? "").includes("\n")),
    ...(initial !== undefined && { initial }),
    ...(shortest !== undefined && { shortest }),
    ...(longest !== undefined && { longest }),
  };
}

function numberField(schema: Schema, common: Common): Field {
  const initial = number(schema.default);
  const least = number(schema.minimum);
  const most = number(schema.maximum);
  return {
    ...common,
    kind: "number",
    whole: typeOf(schema) === "integer",
    ...(initial !== undefined && { initial }),
    ...(least !== undefined && { least }),
    ...(most !== undefined && { most }),
  };
}

/** A list of choices; undefined for any other list. */
function listField(schema: Schema, root: Schema, common: Common): Field | undefined {
  const items = isSchema(schema.items) ? resolved(schema.items, root) : undefined;
  const choices = items === undefined ? undefined : choicesOf(items);
  if (choices === undefined) return undefined;
  const least = number(schema.minItems);
  const most = number(schema.maxItems);
  return {
    ...common,
    kind: "choices",
    choices,
    ...(Array.isArray(schema.default) && { initial: schema.default }),
    ...(least !== undefined && { least }),
    ...(most !== undefined && { most }),
  };
}

function fieldsOf(schema: Schema, root: Schema, depth: number): NamedField[] {
  if (!isSchema(schema.properties)) return [];
  const required = Array.isArray(schema.required) ? schema.required : [];
  const fallback = isSchema(schema.default) ? schema.default : {};
  return Object.entries(schema.properties).map(([name, property]) => {
    const inner = isSchema(property) ? property : {};
    const own = Object.hasOwn(fallback, name) ? fallback[name] : undefined;
    const withDefault = own === undefined || inner.default !== undefined ? inner : { ...inner, default: own };
    return { name, field: toField(withDefault, root, required.includes(name), depth + 1) };
  });
}

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

/**
 * The broker's complaint at the field that it is about: the longest known place that the complaint's begins with.
 * `{ "": message }` where it is about none of them.
 */
export function placed(field: Field, at: string | undefined, message: string): FieldErrors {
  const said = at !== undefined && message.startsWith(`${at}: `) ? message.slice(at.length + 2) : message;
  if (at === undefined) return { "": said };
  const missing = /^'(.+)' is a required property$/.exec(said)?.[1];
  if (missing !== undefined && placesOf(field).includes(`${at}.${missing}`)) {
    return { [`${at}.${missing}`]: "This is needed." };
  }
  const found = placesOf(field)
    .filter((place) => at === place || at.startsWith(`${place}.`) || at.startsWith(`${place}[`))
    .reduce((longest, place) => (place.length > longest.length ? place : longest), "");
  return { [found]: said };
}

/** The places of all fields, that of the answer itself first. */
export function placesOf(field: Field, place = "answer"): string[] {
  if (field.kind !== "object") return [place];
  return [place, ...field.fields.flatMap((each) => placesOf(each.field, `${place}.${each.name}`))];
}

/** RFC 3339 as an `<input type="datetime-local">` has it, in the reader's time zone. */
function localTime(time: string | undefined): string {
  const then = time === undefined ? Number.NaN : Date.parse(time);
  if (Number.isNaN(then)) return "";
  const local = new Date(then - new Date(then).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 16);
}

function isSchema(value: Json | undefined): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: Json | undefined): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function number(value: Json | undefined): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}
