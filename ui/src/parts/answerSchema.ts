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

function isSchema(value: Json | undefined): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: Json | undefined): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function number(value: Json | undefined): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}
