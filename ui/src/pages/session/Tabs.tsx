import { NavLink } from "react-router";
import styles from "./Session.module.css";

interface Props {
  tabs: readonly { path: string; name: string }[];
  id: string;
  /** The query that is looked at stays the one that is looked at. */
  query: string | null;
}

export function Tabs({ tabs, id, query }: Props) {
  const search = query === null ? "" : `?query=${encodeURIComponent(query)}`;
  const base = `/ui/sessions/${encodeURIComponent(id)}`;
  return (
    <nav className={styles.tabs} aria-label="Parts of the session">
      {tabs.map(({ path, name }) => (
        <NavLink key={path} end to={{ pathname: path === "" ? base : `${base}/${path}`, search }}>
          {name}
        </NavLink>
      ))}
    </nav>
  );
}
