import { createBrowserRouter, Navigate } from "react-router";
import { lazyPage } from "./lazyPage";
import { Broken } from "./pages/Broken";
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
  // What shows JSON and markdown, and what draws charts, is large: it is fetched with the page that needs it.
  const session = () => lazyPage(async () => (await import("./pages/session/Session")).Session, reload);
  const overview = () => lazyPage(async () => (await import("./pages/overview/Overview")).Overview, reload);
  const router = createBrowserRouter([
    {
      path: "/",
      element: <Shell />,
      errorElement: <Broken />,
      // Shown while a page that is loaded on demand is the first one.
      hydrateFallbackElement: <Loading what="the page" />,
      children: [
        {
          // Within the shell: from a page that is broken one can go to another.
          errorElement: <Broken />,
          children: [
            { index: true, element: <Navigate to="/ui/sessions" replace /> },
            { path: "ui", element: <Navigate to="/ui/sessions" replace /> },
            { path: "ui/sessions", element: <Sessions /> },
            { path: "ui/sessions/:id/:tab?", lazy: session },
            { path: "ui/inbox", element: <Inbox /> },
            { path: "ui/overview", lazy: overview },
            { path: "*", element: <Missing /> },
          ],
        },
      ],
    },
  ]);
  /** From the network, there where somebody wants to go. */
  function reload() {
    const { navigation, location } = router.state;
    window.location.assign(router.createHref(navigation.location ?? location));
  }
  return router;
}
