import { useQuery } from "@tanstack/react-query";
import { NavLink } from "react-router";
import { waitingHere } from "../api/openQuestions";
import { openQuestions } from "../api/queries";
import styles from "./Shell.module.css";

/** The way to the inbox; with a number where somebody is known, and waited for. */
export function InboxLink({ isKnown }: { isKnown: boolean }) {
  return (
    <NavLink to="/ui/inbox">
      Inbox
      {isKnown && <Badge />}
    </NavLink>
  );
}

function Badge() {
  // Its stream belongs to the inbox; here a look now and then is enough.
  const { data } = useQuery({ ...openQuestions, select: waitingHere, refetchInterval: 5_000 });
  if (data === undefined || data.count === 0) return null;
  return (
    <span className={styles.badge}>
      {data.count.toLocaleString("en")}
      {data.hasMore && "+"}
      <span className="visually-hidden"> {data.hasMore && "and more "}waiting for an answer</span>
    </span>
  );
}
