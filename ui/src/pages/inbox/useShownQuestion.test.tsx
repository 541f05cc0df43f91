// @vitest-environment jsdom
import { QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, configure, renderHook, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { makeQueryClient } from "../../api/queries";
import { useShownQuestion } from "./useShownQuestion";

configure({ asyncUtilTimeout: 30_000 });

/** Questions that the broker has. */
let there: Set<string>;
let client: ReturnType<typeof makeQueryClient>;

beforeEach(() => {
  there = new Set(["a", "b", "c"]);
  client = makeQueryClient();
  vi.stubGlobal("fetch", async (url: string) => {
    const id = url.split("/").at(-1) ?? "";
    if (there.has(id)) return Response.json({ id, state: "open" });
    return Response.json({ error: { message: "no such question" } }, { status: 404 });
  });
});

afterEach(() => {
  cleanup();
  client.clear();
  vi.unstubAllGlobals();
});

interface Props {
  named?: string;
  first?: string;
}

function looking(initialProps: Props) {
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={client}>{children}</QueryClientProvider>
  );
  return renderHook(({ named, first }: Props) => useShownQuestion(named, first), { wrapper, initialProps });
}

describe("the question that is looked at", () => {
  it("is the first, and stays it whatever comes before it or becomes of it", () => {
    const { result, rerender } = looking({});
    expect(result.current).toBeUndefined();
    rerender({ first: "b" });
    expect(result.current).toBe("b");
    rerender({ first: "a" });
    expect(result.current).toBe("b");
    rerender({});
    expect(result.current).toBe("b");
  });

  it("is the one that is named, also after it is not named any more", () => {
    const { result, rerender } = looking({ first: "a" });
    rerender({ first: "a", named: "c" });
    expect(result.current).toBe("c");
    rerender({ first: "a" });
    expect(result.current).toBe("c");
  });

  it("gives way to the first where the broker has it no longer", async () => {
    const { result, rerender } = looking({ first: "b" });
    await waitFor(() => expect(client.getQueryData(["question", "b"])).toBeDefined());
    rerender({ first: "a" });
    expect(result.current).toBe("b");
    there.delete("b");
    await act(() => client.invalidateQueries({ queryKey: ["question"] }));
    await waitFor(() => expect(result.current).toBe("a"));
  });

  it("stays where it is named, though the broker has no such question", async () => {
    const { result } = looking({ first: "a", named: "gone" });
    await act(() => client.invalidateQueries({ queryKey: ["question"] }));
    expect(result.current).toBe("gone");
  });
});
