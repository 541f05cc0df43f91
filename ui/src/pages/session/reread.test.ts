import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LONGEST_PAUSE, Rereader, SETTLE } from "./reread";

/** A read that takes so many milliseconds, and when each began. */
function reading(takes: number, isOwn = () => true) {
  const began: number[] = [];
  const read = vi.fn(async () => {
    began.push(Date.now());
    await new Promise((resolve) => setTimeout(resolve, takes));
    return isOwn();
  });
  return { read, began };
}

async function changeSteadily(rereader: Rereader, ms: number) {
  for (let past = 0; past < ms; past += 100) {
    rereader.changed();
    await vi.advanceTimersByTimeAsync(100);
  }
}

describe("what has changed is read again", () => {
  beforeEach(() => vi.useFakeTimers({ now: 0 }));
  afterEach(() => vi.useRealTimers());

  it("once for changes that come together", async () => {
    const { read, began } = reading(10);
    const rereader = new Rereader(read);
    for (let change = 0; change < 5; change++) rereader.changed();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(began).toEqual([SETTLE]);
  });

  it("never while it is being read, and the less often the longer that takes", async () => {
    const { read, began } = reading(2_000);
    const rereader = new Rereader(read);
    await changeSteadily(rereader, 50_000);
    expect(began).toEqual([SETTLE, SETTLE + 2_000 + 20_000, SETTLE + 44_000]);
  });

  it("at the latest after half a minute", async () => {
    const { read, began } = reading(20_000);
    await changeSteadily(new Rereader(read), 60_000);
    expect(began).toEqual([SETTLE, SETTLE + 20_000 + LONGEST_PAUSE]);
  });

  it("once more where it changed while it was read", async () => {
    const { read } = reading(500);
    const rereader = new Rereader(read);
    rereader.changed();
    await vi.advanceTimersByTimeAsync(SETTLE + 100);
    rereader.changed();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(read).toHaveBeenCalledTimes(2);
  });

  it("once more where the reading had begun before the change", async () => {
    let isOwn = false;
    const { read } = reading(500, () => {
      const was = isOwn;
      isOwn = true;
      return was;
    });
    new Rereader(read).changed();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(read).toHaveBeenCalledTimes(2);
  });

  it("soon after the last change, however long a reading takes", async () => {
    const { read, began } = reading(2_000);
    const rereader = new Rereader(read);
    rereader.changed();
    await vi.advanceTimersByTimeAsync(4_000);
    rereader.changed();
    rereader.changed(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(began).toEqual([SETTLE, 4_000 + SETTLE]);
  });

  it("no more once nobody looks at it", async () => {
    const { read } = reading(500);
    const rereader = new Rereader(read);
    rereader.changed();
    await vi.advanceTimersByTimeAsync(SETTLE + 100);
    rereader.changed();
    rereader.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(read).toHaveBeenCalledTimes(1);
  });
});
