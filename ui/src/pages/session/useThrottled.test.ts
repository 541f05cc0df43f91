// @vitest-environment jsdom
import { act, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { useThrottled } from "./useThrottled";

describe("a value that changes with every frame", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it("is seen now and then, and at last as it is", () => {
    const seen = new Set<number>();
    const { result, rerender } = renderHook(
      ({ value }) => {
        const shown = useThrottled(value, 250);
        seen.add(shown);
        return shown;
      },
      { initialProps: { value: 0 } },
    );
    for (let value = 1; value <= 60; value++) {
      rerender({ value });
      act(() => vi.advanceTimersByTime(16));
    }
    expect(seen.size).toBeLessThan(6);
    act(() => vi.advanceTimersByTime(250));
    expect(result.current).toBe(60);
  });
});
