// @vitest-environment jsdom
import { QueryClientProvider, useQuery } from "@tanstack/react-query";
import { cleanup, configure, render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { createMemoryRouter, RouterProvider } from "react-router";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { get } from "../api/http";
import { makeQueryClient } from "../api/queries";
import { Shell } from "./Shell";

/** What the broker of a test knows and does. */
interface Broker {
  tokens: Set<string>;
  cookie: string | undefined;
  refusesLogout: boolean;
}

configure({ asyncUtilTimeout: 30_000 });

let broker: Broker;
let client: ReturnType<typeof makeQueryClient>;

async function answer(url: string, init: RequestInit = {}): Promise<Response> {
  const isKnown = broker.cookie !== undefined && broker.tokens.has(broker.cookie);
  const refused = (status: number, message: string) => {
    const response = Response.json({ error: { message } }, { status });
    Object.defineProperty(response, "url", { value: `http://broker${url}` });
    return response;
  };
  if (url === "/v1/login") {
    const { token } = JSON.parse(String(init.body)) as { token: string };
    if (!broker.tokens.has(token)) return refused(401, "the token is not known");
    broker.cookie = token;
    return new Response(null, { status: 204 });
  }
  if (url === "/v1/logout") {
    if (broker.refusesLogout) return refused(503, "the database is away");
    broker.cookie = undefined;
    return new Response(null, { status: 204 });
  }
  if (!isKnown) return refused(401, "no token");
  if (url === "/v1/me") {
    return Response.json({ name: "me", permissions: ["read"], namespaces: null, authentication: true });
  }
  if (url.startsWith("/v1/questions")) return Response.json({ items: [] });
  return Response.json(`what ${broker.cookie} may see`);
}

function Page() {
  const { data, refetch } = useQuery({ queryKey: ["thing"], queryFn: () => get<string>("/v1/thing") });
  return (
    <button type="button" onClick={() => void refetch()}>
      {data ?? "nothing yet"}
    </button>
  );
}

function open(address = "/ui/thing?part=2") {
  client = makeQueryClient();
  const routes = [{ path: "/", element: <Shell />, children: [{ path: "ui/thing", element: <Page /> }] }];
  const router = createMemoryRouter(routes, { initialEntries: [address] });
  render(
    <QueryClientProvider client={client}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
  return router;
}

const logIn = async (token: string) => {
  await userEvent.type(await screen.findByLabelText("Token"), token);
  await userEvent.click(screen.getByRole("button", { name: "Log in" }));
};

beforeEach(() => {
  broker = { tokens: new Set(["one", "two"]), cookie: "one", refusesLogout: false };
  vi.stubGlobal("fetch", answer);
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {}, removeEventListener() {} }));
});

afterEach(() => {
  cleanup();
  client.clear();
  vi.unstubAllGlobals();
});

describe("who is not known", () => {
  it("logs in where they are", async () => {
    broker.cookie = undefined;
    const router = open();
    await logIn("wrong");
    expect((await screen.findByRole("alert")).textContent).toBe("the token is not known");
    await userEvent.clear(screen.getByLabelText("Token"));
    await logIn("two");
    await screen.findByText("what two may see");
    const { pathname, search } = router.state.location;
    expect(pathname + search).toBe("/ui/thing?part=2");
  });

  it("is told where the browser keeps no login", async () => {
    broker.cookie = undefined;
    open();
    await screen.findByLabelText("Token");
    vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
      const response = await answer(url, init);
      broker.cookie = undefined;
      return response;
    });
    await logIn("one");
    expect((await screen.findByRole("alert")).textContent).toContain("did not keep");
  });
});

describe("who is known no longer", () => {
  it("is asked to log in, whatever request found it out, and sees nothing of before", async () => {
    open();
    await screen.findByText("what one may see");
    broker.tokens.delete("one");
    await userEvent.click(screen.getByText("what one may see"));
    await screen.findByLabelText("Token");
    expect(screen.queryByText(/may see/)).toBeNull();
    await waitFor(() => expect(client.getQueryData(["thing"])).toBeUndefined());
    await logIn("two");
    await screen.findByText("what two may see");
  });
});

describe("who logs out", () => {
  it("leaves nothing behind", async () => {
    open();
    await screen.findByText("what one may see");
    await userEvent.click(screen.getByRole("button", { name: "Log out" }));
    await screen.findByLabelText("Token");
    expect(document.body.textContent).not.toContain("may see");
    expect(screen.queryByRole("button", { name: "Log out" })).toBeNull();
    await waitFor(() =>
      expect(
        client
          .getQueryCache()
          .getAll()
          .map((query) => query.queryKey),
      ).toEqual([["me"]]),
    );
  });

  it("is told where that did not work", async () => {
    broker.refusesLogout = true;
    open();
    await screen.findByText("what one may see");
    await userEvent.click(screen.getByRole("button", { name: "Log out" }));
    const alert = await screen.findByRole("alert");
    expect(alert.textContent).toContain("You are still logged in: the database is away");
    expect(screen.getByText("what one may see")).toBeDefined();
    broker.refusesLogout = false;
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    await screen.findByLabelText("Token");
    expect(screen.queryByRole("alert")).toBeNull();
  });
});
