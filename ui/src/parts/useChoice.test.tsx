// @vitest-environment jsdom
import { act, cleanup, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { useChoice } from "./useChoice";

describe("a choice that the address is to have", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    window.history.replaceState(null, "", "/ui/sessions/s/timeline");
  });
  afterEach(() => {
    cleanup();
    vi.useRealTimers();
  });

  /** The hook, and what it has written. */
  function choosing() {
    const written: (string | undefined)[] = [];
    const { result } = renderHook(() => useChoice(undefined, (choice) => written.push(choice)));
    return { written, choose: (choice: string) => act(() => result.current[1](choice)) };
  }
  const settle = () => act(() => vi.runAllTimers());

  it("is written once, when it has settled", () => {
    const { written, choose } = choosing();
    for (const choice of ["a", "b", "c"]) choose(choice);
    expect(written).toEqual([]);
    settle();
    expect(written).toEqual(["c"]);
  });

  it("is not written to the page that the reader went on to meanwhile", () => {
    const { written, choose } = choosing();
    choose("a");
    window.history.pushState(null, "", "/ui/sessions/s/raw?event=7");
    settle();
    expect(written).toEqual([]);
  });
});
