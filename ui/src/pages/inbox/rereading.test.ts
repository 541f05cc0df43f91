import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { concernsQuestion, PAUSE_MS, rereading } from "./rereading";

describe("the questions are read again", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("once a second at most, and once more for what came last", async () => {
    const reads: number[] = [];
    const start = Date.now();
    const again = rereading(async () => reads.push(Date.now() - start));
    for (let at = 0; at < 5_000; at += 50) {
      again.want();
      await vi.advanceTimersByTimeAsync(50);
    }
    await vi.advanceTimersByTimeAsync(5_000);
    expect(reads.length).toBeLessThanOrEqual(6);
    expect(reads.at(-1)).toBeGreaterThanOrEqual(5_000);
    for (const [at, time] of reads.slice(1).entries())
      expect(time - (reads[at] ?? 0)).toBeGreaterThanOrEqual(PAUSE_MS);
  });

  it("soon after a single event", async () => {
    const read = vi.fn(async () => undefined);
    rereading(read).want();
    await vi.advanceTimersByTimeAsync(400);
    expect(read).toHaveBeenCalledOnce();
  });

  it("never while they are being read; then for what came meanwhile, the later the longer it takes", async () => {
    const times: number[] = [];
    const start = Date.now();
    const again = rereading(() => {
      times.push(Date.now() - start);
      return new Promise((done) => setTimeout(done, 2_000));
    });
    again.want();
    await vi.advanceTimersByTimeAsync(1_000);
    again.want();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(times).toEqual([300]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(times).toEqual([300, 10_300]);
  });

  it("no more once nobody looks", async () => {
    const read = vi.fn(async () => undefined);
    const again = rereading(read);
    again.want();
    again.stop();
    again.want();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(read).not.toHaveBeenCalled();
  });
});

describe("an event concerns a question", () => {
  const open = [{ id: "task:1", state: "open" as const }];

  it("where it has the name of one", () => {
    expect(concernsQuestion({ type: "question.asked", questionId: "x" }, open)).toBe(true);
    expect(concernsQuestion({ type: "tool_approval_request" }, open)).toBe(false);
  });

  it("where a task asks, or one that asked goes on", () => {
    const task = (questionId: string, taskState: string) => ({ type: "task.updated", questionId, taskState });
    expect(concernsQuestion(task("task:2", "working"), open)).toBe(false);
    expect(concernsQuestion(task("task:2", "input_required"), open)).toBe(true);
    expect(concernsQuestion(task("task:1", "working"), open)).toBe(true);
    expect(concernsQuestion(task("task:2", "working"), undefined)).toBe(true);
  });
});
