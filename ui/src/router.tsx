import { createBrowserRouter, Navigate } from "react-router";
import { Inbox } from "./pages/inbox/Inbox";
import { Missing } from "./pages/Missing";
import { Sessions } from "./pages/sessions/Sessions";
import { Loading } from "./parts/Notice";
import { Shell } from "./shell/Shell";

/**
 * The pages, by path. A session's parts are tabs with paths of their own:
 * /ui/sessions/ID, …/timeline, …/conversation, …/raw; `?query=` names the query that is looked at, `?event=` an event's seq.
 */
export function makeRouter() {
  return createBrowserRouter([
    {
      path: "/",
      element: <Shell />,
      // Shown while a page that is loaded on demand is the first one.
      hydrateFallbackElement: <Loading what="the page" />,
      children: [
        { index: true, element: <Navigate to="/ui/sessions" replace /> },
        { path: "ui", element: <Navigate to="/ui/sessions" replace /> },
        { path: "ui/sessions", element: <Sessions /> },
        // What shows JSON and markdown, and what draws charts, is large: it is fetched with the page that needs it.
        {
          path: "ui/sessions/:id/:tab?",
          lazy: async () => ({ Component: (await import("./pages/session/Session")).Session }),
        },
        { path: "ui/inbox", element: <Inbox /> },
        {
          path: "ui/overview",
          lazy: async () => ({ Component: (await import("./pages/overview/Overview")).Overview }),
        },
        { path: "*", element: <Missing /> },
      ],
    },
  ]);
}
