// @vitest-environment jsdom
import { QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, renderHook } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { makeQueryClient } from "../../../api/queries";
import { useConversation } from "./useConversation";

const TAKES_MS = 3_000;

/** A broker that takes its time, as it does for a session of many events. */
function slowBroker() {
  const calls = { begun: 0, aborted: 0 };
  const answer = (_url: string, { signal }: RequestInit) => {
    calls.begun += 1;
    const said = { messages: [{ role: "user", content: `reading ${calls.begun}` }], conversations: [] };
    return new Promise<Response>((resolve, reject) => {
      setTimeout(() => resolve(new Response(JSON.stringify(said))), TAKES_MS);
      signal?.addEventListener("abort", () => {
        calls.aborted += 1;
        reject(signal.reason);
      });
    });
  };
  vi.stubGlobal("fetch", answer);
  return calls;
}

describe("a conversation that is read again", () => {
  beforeEach(() => vi.useFakeTimers({ now: 0 }));
  afterEach(() => {
    cleanup();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("is read to its end while events come, and not all the time", async () => {
    const calls = slowBroker();
    const client = makeQueryClient();
    const wrapper = ({ children }: { children: ReactNode }) => (
      <QueryClientProvider client={client}>{children}</QueryClientProvider>
    );
    const { result, rerender } = renderHook(({ q }) => useConversation("s", "", { q }).data, {
      wrapper,
      initialProps: { q: 0 },
    });
    for (let q = 1; q <= 300; q++) {
      await act(() => vi.advanceTimersByTimeAsync(100));
      rerender({ q });
    }
    await act(() => vi.advanceTimersByTimeAsync(90_000));
    expect(calls.aborted).toBe(0);
    // The first one, which was under way when something changed; one while events come; one for the last of them.
    expect(calls.begun).toBe(3);
    expect(result.current?.messages[0]?.content).toBe("reading 3");
  });
});
