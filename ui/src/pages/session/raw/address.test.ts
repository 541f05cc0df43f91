import { describe, expect, it } from "vitest";
import { rawOf } from "./address";

const event = { seq: 4, id: "a", kind: "span", type: "x", time: "2026-01-01T00:00:00Z", body: null } as const;

describe("the way to an event as it is stored", () => {
  it("goes by its position in the session: an adopted one has another in the log", () => {
    expect(rawOf({ ...event, sessionSeq: 9, sessionId: "s" }, "s")).toBe("/ui/sessions/s/raw?event=9");
    expect(rawOf(event, "a b")).toBe("/ui/sessions/a%20b/raw?event=4");
  });

  it("leads to the event's own session", () => {
    expect(rawOf({ ...event, sessionId: "other" }, "s")).toBe("/ui/sessions/other/raw?event=4");
  });
});
