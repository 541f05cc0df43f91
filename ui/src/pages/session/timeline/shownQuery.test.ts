import { describe, expect, it } from "vitest";
import type { Query } from "../../../api/types";
import { newestFirst, shownQuery } from "./shownQuery";

const began = (startedAt?: string) => ({ ...(startedAt !== undefined && { startedAt }) }) as Query;

describe("the query that a timeline shows", () => {
  it("is the newest, and stays when a newer one begins, of which is told", () => {
    expect(shownQuery(null, undefined, ["b", "a"])).toEqual({ name: "b", newer: undefined });
    expect(shownQuery(null, "b", ["c", "b", "a"])).toEqual({ name: "b", newer: "c" });
  });

  it("is the one that was chosen, whatever begins", () => {
    expect(shownQuery("a", "b", ["c", "b", "a"])).toEqual({ name: "a", newer: undefined });
  });

  it("is another one where there is none of that name", () => {
    expect(shownQuery("gone", "b", ["c", "b"])).toEqual({ name: "b", newer: "c" });
    expect(shownQuery("gone", "gone", ["c"])).toEqual({ name: "c", newer: undefined });
    expect(shownQuery(null, undefined, [])).toEqual({ name: undefined, newer: undefined });
  });
});

describe("queries", () => {
  it("stand by their beginnings, the last first", () => {
    const queries = {
      a: began("2026-01-01T00:00:00Z"),
      c: began(),
      b: began("2026-01-02T00:00:00Z"),
    };
    expect(newestFirst(queries)).toEqual(["b", "a", "c"]);
  });
});
