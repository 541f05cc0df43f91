import { describe, expect, it } from "vitest";
import type { Json } from "../api/types";
import { draftOf, readDraft } from "./answerDraft";
import { type Draft, fieldOf, placed } from "./answerSchema";

const read = (schema: Json | undefined, draft: Draft, options?: Json[]) =>
  readDraft(fieldOf(schema, options), draft);

describe("the field of an answer", () => {
  it("is a long text where there is no schema", () => {
    expect(fieldOf(undefined)).toMatchObject({ kind: "text", multiline: true });
    expect(read(undefined, "yes, do")).toEqual({ value: "yes, do", errors: {} });
  });

  it("is a choice of the options, whatever the schema says", () => {
    expect(fieldOf({ type: "string" }, ["yes", 2, null])).toMatchObject({
      kind: "choice",
      choices: [{ label: "yes" }, { label: "2" }, { label: "null" }],
    });
    expect(read(undefined, "2", ["yes", "no", { deploy: true }]).value).toEqual({ deploy: true });
  });

  it("takes names of choices from enumNames, or from titles of alternatives", () => {
    const named = { type: "string", enum: ["a", "b"], enumNames: ["First", "Second"] };
    const titled = {
      oneOf: [
        { const: "a", title: "First" },
        { const: "b", title: "Second" },
      ],
    };
    for (const schema of [named, titled]) {
      const field = fieldOf(schema);
      expect(field).toMatchObject({ kind: "choice", choices: [{ label: "First" }, { label: "Second" }] });
      expect(readDraft(field, "1").value).toBe("b");
    }
  });

  it("has a title, a description and a default", () => {
    const field = fieldOf({
      type: "integer",
      title: "Replicas",
      description: "How many",
      default: 3,
      minimum: 1,
    });
    expect(field).toMatchObject({
      kind: "number",
      whole: true,
      title: "Replicas",
      description: "How many",
      least: 1,
    });
    expect(draftOf(field)).toBe("3");
  });

  it("follows references and leaves the alternative null out, as pydantic writes them", () => {
    const schema = {
      type: "object",
      properties: {
        place: { $ref: "#/$defs/Place", default: "home" },
        note: { anyOf: [{ type: "string" }, { type: "null" }], default: null },
      },
      $defs: { Place: { enum: ["home", "work"], type: "string" } },
    };
    const field = fieldOf(schema);
    expect(field).toMatchObject({
      kind: "object",
      fields: [
        { name: "place", field: { kind: "choice", required: false } },
        { name: "note", field: { kind: "text", required: false } },
      ],
    });
    expect(readDraft(field, draftOf(field)).value).toEqual({ place: "home" });
  });

  it("is JSON where no field can show it", () => {
    for (const schema of [{}, { type: "array", items: { type: "object" } }, { type: ["string", "number"] }]) {
      expect(fieldOf(schema).kind).toBe("json");
    }
    expect(read({}, "{bad").errors.answer).toContain("not JSON");
    expect(read({}, '{"a":[1]}').value).toEqual({ a: [1] });
  });

  it("ends where a schema refers to itself", () => {
    const schema = { type: "object", properties: { next: { $ref: "#" } } };
    expect(JSON.stringify(fieldOf(schema)).length).toBeLessThan(2_000);
    expect(fieldOf({ $ref: "#" }).kind).toBe("json");
  });
});

describe("what was put in", () => {
  const schema = {
    type: "object",
    required: ["name", "count", "agree"],
    properties: {
      name: { type: "string", minLength: 2, maxLength: 5 },
      count: { type: "integer", minimum: 1, maximum: 9 },
      agree: { type: "boolean" },
      mail: { type: "string", format: "email" },
      tags: { type: "array", items: { enum: ["x", "y", "z"] }, maxItems: 2 },
    },
  };

  it("is read with the types of the schema, and what is optional and empty is left out", () => {
    const draft = { name: "ann", count: "4", agree: "false", mail: "", tags: [] };
    expect(read(schema, draft)).toEqual({ value: { name: "ann", count: 4, agree: false }, errors: {} });
    expect(read(schema, { ...draft, tags: ["2", "0"] }).value).toMatchObject({ tags: ["x", "z"] });
  });

  it("is refused with an error at each wrong field", () => {
    const draft = { name: "a", count: "4.5", agree: "", mail: "nobody", tags: ["0", "1", "2"] };
    expect(Object.keys(read(schema, draft).errors).sort()).toEqual([
      "answer.agree",
      "answer.count",
      "answer.mail",
      "answer.name",
      "answer.tags",
    ]);
    expect(read(schema, { ...draft, count: "12" }).errors["answer.count"]).toContain("At most 9");
  });

  it("has the time zone where a date and time is wanted", () => {
    const { value } = read({ type: "string", format: "date-time" }, "2026-11-21T10:00");
    expect(value).toBe(new Date("2026-11-21T10:00").toISOString());
  });

  it("may leave an optional part out although that has required fields", () => {
    const outer = { type: "object", properties: { part: schema } };
    expect(read(outer, {}).value).toEqual({});
    expect(Object.keys(read(outer, { part: { name: "ann" } }).errors)).toEqual([
      "answer.part.count",
      "answer.part.agree",
    ]);
  });
});

describe("the broker's complaint", () => {
  const field = fieldOf({
    type: "object",
    required: ["name"],
    properties: { name: { type: "string" }, tags: { type: "array", items: { enum: [1] } } },
  });

  it("stands at the field that it is about", () => {
    expect(placed(field, "answer.name", "answer.name: 3 is not of type 'string'")).toEqual({
      "answer.name": "3 is not of type 'string'",
    });
    expect(placed(field, "answer.tags[0]", "answer.tags[0]: 2 is not one of [1]")).toHaveProperty([
      "answer.tags",
    ]);
    expect(placed(field, "answer", "answer: 'name' is a required property")).toHaveProperty(["answer.name"]);
  });

  it("stands above the form where it is about none", () => {
    expect(placed(field, undefined, "too late")).toEqual({ "": "too late" });
    expect(placed(field, "answeredBy", "answeredBy: too long")).toEqual({ "": "too long" });
  });
});
