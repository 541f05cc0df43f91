import { useState } from "react";
import { Link } from "react-router";
import { count } from "../../format";
import type { LiveSession } from "../../live/useLiveSession";
import { Button } from "../../parts/Button";
import styles from "./Session.module.css";

/** What a reader has to know of the page itself: that it was loaded anew, that it is not whole, that the session is gone. */
export function News({ live }: { live: LiveSession }) {
  const [seen, setSeen] = useState(0);
  if (live.gone) {
    return (
      <p className={styles.news} role="alert">
        This session was deleted, or has moved into another one. What you see is the last that was known of
        it. <Link to="/ui/sessions">All sessions</Link>
      </p>
    );
  }
  return (
    <>
      {live.reloads > seen && (
        <p className={styles.news} role="status">
          The connection was away for so long that something may have been missed: the view was loaded anew.
          <Button onClick={() => setSeen(live.reloads)}>Dismiss</Button>
        </p>
      )}
      {live.error !== null && (
        <p className={styles.news} role="alert">
          {live.error.message} <Button onClick={live.retry}>Try again</Button>
        </p>
      )}
      {live.skipped > 0 && (
        <p className={styles.news} role="status">
          The tree shows the first 50,000 events and what has happened since this page was opened;{" "}
          {count(live.skipped)} events between them are in Raw.
        </p>
      )}
    </>
  );
}
