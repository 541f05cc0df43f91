import { useEffect } from "react";
import { NavLink, useParams } from "react-router";
import { useLiveSession } from "../../live/useLiveSession";
import { Failure, Loading } from "../../parts/Notice";
import { ConversationTab } from "./conversation/ConversationTab";
import { RawTab } from "./raw/RawTab";
import { TimelineTab } from "./timeline/TimelineTab";
import { TreeTab } from "./tree/TreeTab";

/** What each tab of a session is given. */
export interface TabProps {
  id: string;
  live: import("../../live/useLiveSession").LiveSession;
}

const TABS = [
  { path: "", name: "Tree", Tab: TreeTab },
  { path: "timeline", name: "Timeline", Tab: TimelineTab },
  { path: "conversation", name: "Conversation", Tab: ConversationTab },
  { path: "raw", name: "Raw", Tab: RawTab },
] as const;

export function Session() {
  const { id = "", tab = "" } = useParams();
  const live = useLiveSession(id);
  useEffect(() => {
    document.title = `${id} · Ark Broker`;
    return () => {
      document.title = "Ark Broker";
    };
  }, [id]);
  const { Tab } = TABS.find((each) => each.path === tab) ?? TABS[0];
  if (live.session === undefined) {
    return live.error === null ? (
      <Loading what="the session" />
    ) : (
      <Failure error={live.error} retry={live.retry} />
    );
  }
  return (
    <section>
      <h1>{id}</h1>
      <nav aria-label="Parts of the session">
        {TABS.map((each) => (
          <NavLink key={each.path} end to={`/ui/sessions/${encodeURIComponent(id)}/${each.path}`}>
            {each.name}
          </NavLink>
        ))}
      </nav>
      <Tab id={id} live={live} />
    </section>
  );
}
