import { describe, expect, it } from "vitest";
import { around, moved, revealing, tickLabel, ticks, zoomed } from "./window";

const whole = { from: 1000, to: 2000 };

describe("the seen part of the time", () => {
  it("keeps the time under the pointer where it is", () => {
    expect(zoomed(whole, whole, 0.5, 0.2)).toEqual({ from: 1100, to: 1600 });
    expect(zoomed(whole, whole, 0.5)).toEqual({ from: 1250, to: 1750 });
  });

  it("never goes beyond the whole", () => {
    expect(zoomed({ from: 1100, to: 1200 }, whole, 100)).toEqual(whole);
    expect(moved({ from: 1100, to: 1200 }, whole, -5)).toEqual({ from: 1000, to: 1100 });
    expect(moved({ from: 1100, to: 1200 }, whole, 50)).toEqual({ from: 1900, to: 2000 });
    expect(around(1900, 2000, whole)).toEqual({ from: 1850, to: 2000 });
  });

  it("goes to what is chosen outside of it", () => {
    const seen = { from: 1100, to: 1200 };
    expect(revealing(seen, whole, 1150)).toBe(seen);
    expect(revealing(seen, whole, 1500)).toEqual({ from: 1490, to: 1590 });
  });

  it("does not end where a span has no length", () => {
    const { from, to } = around(1500, 1500, whole);
    expect(to).toBeGreaterThan(from);
  });
});

describe("the ruler", () => {
  it("has marks at round times", () => {
    expect(ticks(whole, 1000, 5)).toEqual([0, 200, 400, 600, 800, 1000]);
    expect(ticks({ from: 1130, to: 1170 }, 1000, 4)).toEqual([130, 140, 150, 160, 170]);
    expect(ticks({ from: 0, to: 0 }, 0, 4)).toEqual([]);
    const minutes = ticks({ from: 0, to: 2_300_000 }, 0, 5);
    expect(minutes.map((ms) => tickLabel(ms, 600_000))).toEqual(["0", "10 m", "20 m", "30 m"]);
    expect(ticks({ from: 0, to: 30 * 86_400_000 }, 0, 5)[1]).toBe(10 * 86_400_000);
  });

  it("says them as exactly as needed", () => {
    expect(tickLabel(250, 50)).toBe("250 ms");
    expect(tickLabel(1500, 500)).toBe("1.5 s");
    expect(tickLabel(2000, 1000)).toBe("2 s");
    expect(tickLabel(0.25, 0.05)).toBe("0.25 ms");
    expect(tickLabel(180_000, 60_000)).toBe("3 m");
  });
});
