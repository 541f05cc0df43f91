import { useEffect } from "react";
import { Link, useParams, useSearchParams } from "react-router";
import { type LiveSession, useLiveSession } from "../../live/useLiveSession";
import { Failure, Loading } from "../../parts/Notice";
import { ConversationTab } from "./conversation/ConversationTab";
import { Header } from "./Header";
import { News } from "./News";
import { RawTab } from "./raw/RawTab";
import styles from "./Session.module.css";
import { Tabs } from "./Tabs";
import { TimelineTab } from "./timeline/TimelineTab";
import { TreeTab } from "./tree/TreeTab";

/** What each tab of a session is given. */
export interface TabProps {
  id: string;
  live: LiveSession;
}

const TABS = [
  { path: "", name: "Tree", Tab: TreeTab },
  { path: "timeline", name: "Timeline", Tab: TimelineTab },
  { path: "conversation", name: "Conversation", Tab: ConversationTab },
  { path: "raw", name: "Raw", Tab: RawTab },
] as const;

/** A session: what it is at a glance, and its parts as tabs, all of which follow it live. */
export function Session() {
  const { id = "", tab = "" } = useParams();
  // Nothing of one session is left over in the next.
  return <OneSession key={id} id={id} tab={tab} />;
}

function OneSession({ id, tab }: { id: string; tab: string }) {
  const live = useLiveSession(id);
  const [search] = useSearchParams();
  const waiting = live.session?.counts.phases.waiting ?? 0;
  useEffect(() => {
    document.title = `${waiting > 0 ? "(waiting) " : ""}${id} · Ark Broker`;
    return () => {
      document.title = "Ark Broker";
    };
  }, [id, waiting]);
  const { Tab } = TABS.find((each) => each.path === tab) ?? TABS[0];
  if (live.session === undefined) {
    return live.error === null ? (
      <Loading what="the session" />
    ) : (
      <>
        <Failure error={live.error} retry={live.retry} />
        <p className={styles.back}>
          <Link to="/ui/sessions">All sessions</Link>
        </p>
      </>
    );
  }
  return (
    <section className={styles.page} aria-label={`Session ${id}`}>
      <Header id={id} session={live.session} live={live} />
      <Tabs tabs={TABS} id={id} query={search.get("query")} />
      <News live={live} />
      <div className={styles.panel}>
        <Tab id={id} live={live} />
      </div>
    </section>
  );
}
