import { describe, expect, it } from "vitest";
import { afterAsking, afterEvents, nextReading, UNREAD } from "./schedule";

describe("a query is asked for again", () => {
  it("never while nothing happens in it", () => {
    expect(nextReading(UNREAD, 10)).toBeUndefined();
    expect(nextReading(afterAsking(afterEvents(UNREAD, 0, false), 5), 10)).toBeUndefined();
  });

  it("once it has been quiet for a second", () => {
    expect(nextReading(afterEvents(afterEvents(UNREAD, 0, false), 700, false), 10)).toBe(1700);
  });

  it("soon where its phase changed", () => {
    expect(nextReading(afterEvents(UNREAD, 1000, true), 10)).toBe(1150);
  });

  it("now and then where it is never quiet", () => {
    let reading = UNREAD;
    for (let now = 0; now < 60_000; now += 100) reading = afterEvents(reading, now, false);
    expect(nextReading(reading, 10)).toBe(20_000);
  });

  it("the less often, the larger it is and the longer an answer takes", () => {
    const asked = afterEvents(afterAsking(UNREAD, 0), 100, false);
    expect(nextReading(asked, 10)).toBe(2000);
    expect(nextReading(asked, 20_000)).toBe(20_000);
    expect(nextReading({ ...asked, took: 500 }, 10)).toBe(20_000);
  });

  it("never where the broker does not show all of it", () => {
    expect(nextReading({ ...afterEvents(UNREAD, 0, true), isTooLarge: true }, 10)).toBeUndefined();
  });
});
