import { LogOut } from "lucide-react";
import { NavLink, Outlet } from "react-router";
import { Login } from "../pages/login/Login";
import { Button } from "../parts/Button";
import { Failure, Loading } from "../parts/Notice";
import { type Theme, useTheme } from "../theme";
import { InboxLink } from "./InboxLink";
import styles from "./Shell.module.css";
import { useVisitor } from "./useVisitor";

/** What is around every page: where one can go, who one is. Whoever is not known is asked to log in, at any address. */
export function Shell() {
  const [theme, setTheme] = useTheme();
  const { who, error, retry, logOut, problem } = useVisitor();
  const isKnown = who !== undefined && who !== null;

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
          <InboxLink isKnown={isKnown} />
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
          {who?.authentication && (
            <Button onClick={logOut} aria-label="Log out" title={`Logged in as ${who.name}`}>
              <LogOut size={14} aria-hidden /> <span>Log out</span>
            </Button>
          )}
        </div>
        {problem !== undefined && (
          <p className={styles.problem} role="alert">
            You are still logged in: {problem} <Button onClick={logOut}>Try again</Button>
          </p>
        )}
      </header>
      <main id="main" className={styles.main} tabIndex={-1}>
        {isKnown ? (
          <Outlet />
        ) : who === null ? (
          <Login />
        ) : error !== null ? (
          <Failure error={error} retry={retry} />
        ) : (
          <Loading what="the dashboard" />
        )}
      </main>
    </div>
  );
}
