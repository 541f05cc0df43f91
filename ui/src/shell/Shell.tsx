import { useQuery, useQueryClient } from "@tanstack/react-query";
import { LogOut } from "lucide-react";
import { NavLink, Outlet } from "react-router";
import { ApiError, send } from "../api/http";
import { me, openQuestions } from "../api/queries";
import { Login } from "../pages/login/Login";
import { Button } from "../parts/Button";
import { Failure, Loading } from "../parts/Notice";
import { type Theme, useTheme } from "../theme";
import styles from "./Shell.module.css";

/** What is around every page: where one can go, who one is. Whoever is not known is asked to log in. */
export function Shell() {
  const [theme, setTheme] = useTheme();
  const client = useQueryClient();
  const who = useQuery(me);
  const isKnown = who.data !== undefined;
  // Its stream belongs to the inbox; here a look now and then is enough.
  const waiting = useQuery({ ...openQuestions, enabled: isKnown, refetchInterval: 5_000 });
  const count = waiting.data?.items.length ?? 0;

  const logOut = async () => {
    await send("POST", "/v1/logout");
    client.clear();
    await client.invalidateQueries();
  };

  return (
    <div className={styles.shell}>
      <header className={styles.bar}>
        <a className={styles.skip} href="#main">
          Skip to content
        </a>
        <NavLink to="/ui/sessions" className={styles.name ?? ""} aria-label="Ark Broker">
          <img src="/ui/icon.svg" alt="" />
          <span>Ark Broker</span>
        </NavLink>
        <nav className={styles.nav} aria-label="Pages">
          <NavLink to="/ui/sessions">Sessions</NavLink>
          <NavLink to="/ui/inbox">
            Inbox
            {count > 0 && (
              <span className={styles.badge}>
                {count}
                <span className="visually-hidden"> waiting for an answer</span>
              </span>
            )}
          </NavLink>
          <NavLink to="/ui/overview">Overview</NavLink>
        </nav>
        <div className={styles.right}>
          <label className={styles.theme}>
            <span className="visually-hidden">Theme</span>
            <select value={theme} onChange={(event) => setTheme(event.target.value as Theme)}>
              <option value="system">System</option>
              <option value="dark">Dark</option>
              <option value="light">Light</option>
            </select>
          </label>
          {who.data?.authentication && (
            <Button
              onClick={() => void logOut()}
              aria-label="Log out"
              title={`Logged in as ${who.data.name}`}
            >
              <LogOut size={14} aria-hidden /> <span>Log out</span>
            </Button>
          )}
        </div>
      </header>
      <main id="main" className={styles.main} tabIndex={-1}>
        {isKnown ? (
          <Outlet />
        ) : who.error instanceof ApiError && who.error.status === 401 ? (
          <Login />
        ) : who.error !== null ? (
          <Failure error={who.error} retry={() => void who.refetch()} />
        ) : (
          <Loading what="the dashboard" />
        )}
      </main>
    </div>
  );
}
