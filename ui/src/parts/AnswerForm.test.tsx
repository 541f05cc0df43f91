// @vitest-environment jsdom
import { QueryClientProvider } from "@tanstack/react-query";
import { cleanup, configure, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { makeQueryClient, me, questionQuery } from "../api/queries";
import type { Me, Question } from "../api/types";
import { AnswerForm } from "./AnswerForm";
import { keptDraft } from "./answerDrafts";

configure({ asyncUtilTimeout: 30_000 });

const question = { id: "x", state: "open", text: "Which region?" } as Question;
const reader = { name: "somebody", authentication: false, permissions: ["read", "answer"] } as unknown as Me;

/** A page with the form in it, or with nothing. */
function pageWith(client: ReturnType<typeof makeQueryClient>) {
  const draw = (isThere: boolean) => (
    <QueryClientProvider client={client}>{isThere && <AnswerForm questionId="x" />}</QueryClientProvider>
  );
  const { rerender } = render(draw(true));
  return { show: () => rerender(draw(true)), hide: () => rerender(draw(false)) };
}

const write = (value: string) => fireEvent.change(screen.getByRole("textbox"), { target: { value } });

describe("an answer that is being written", () => {
  let client = makeQueryClient();
  beforeEach(() => {
    client = makeQueryClient();
    client.setQueryDefaults(questionQuery("x").queryKey, { staleTime: Number.POSITIVE_INFINITY });
    client.setQueryData(questionQuery("x").queryKey, question);
    client.setQueryData(me.queryKey, reader);
  });
  afterEach(() => {
    cleanup();
    vi.unstubAllGlobals();
  });

  it("is there again when its form comes back", () => {
    const page = pageWith(client);
    write("eu-we");
    page.hide();
    expect(screen.queryByRole("textbox")).toBeNull();
    page.show();
    expect(screen.getByRole<HTMLTextAreaElement>("textbox").value).toBe("eu-we");
    write("eu-west");
    expect(keptDraft(client, "x")).toBe("eu-west");
  });

  it("is forgotten once it was sent", async () => {
    const answered = { ...question, state: "answered", answer: "eu" };
    const fetched = vi.fn(async () => new Response(JSON.stringify(answered), { status: 200 }));
    vi.stubGlobal("fetch", fetched);
    pageWith(client);
    write("eu");
    fireEvent.click(screen.getByRole("button", { name: "Answer" }));
    await waitFor(() => expect(keptDraft(client, "x")).toBeUndefined());
    expect(fetched).toHaveBeenCalled();
  });

  it("is forgotten when somebody else answers", async () => {
    pageWith(client);
    write("eu");
    client.setQueryData(questionQuery("x").queryKey, { ...question, state: "answered" });
    await waitFor(() => expect(keptDraft(client, "x")).toBeUndefined());
  });
});
