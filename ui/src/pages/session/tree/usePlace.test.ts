// @vitest-environment jsdom
import { renderHook } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import type { Entry, Session } from "../../../api/types";
import { entryKey, rowsOf } from "./rows";
import { usePlace } from "./usePlace";

const shown = (...seqs: number[]) =>
  rowsOf(
    {
      queries: { q: { events: seqs.map((seq): Entry => ({ seq, type: "step" })) } },
    } as unknown as Session,
    () => true,
  );

describe("the place of a row", () => {
  it("is looked for once, also where nobody knew it at first, and again when the row has moved", () => {
    const row = { key: entryKey(7), index: -1 };
    const first = shown(5, 6, 7);
    const { result, rerender } = renderHook(({ rows }) => usePlace(rows, row), {
      initialProps: { rows: first },
    });
    expect(result.current).toBe(3);

    const finds = vi.spyOn(first, "keyAt");
    rerender({ rows: first });
    expect(finds).toHaveBeenCalledExactlyOnceWith(3);

    rerender({ rows: shown(4, 5, 6, 7) });
    expect(result.current).toBe(4);
    rerender({ rows: shown(4) });
    expect(result.current).toBe(-1);
    rerender({ rows: shown(7) });
    expect(result.current).toBe(1);
  });

  it("is nowhere while no row is chosen", () => {
    expect(renderHook(() => usePlace(shown(1), undefined)).result.current).toBe(-1);
  });
});
