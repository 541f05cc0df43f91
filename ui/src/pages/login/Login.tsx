import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useId, useState } from "react";
import { send } from "../../api/http";
import { visitor } from "../../api/queries";
import { Button } from "../../parts/Button";
import styles from "./Login.module.css";

/** Asks for a token. It goes into a cookie that no script can read. */
export function Login() {
  const client = useQueryClient();
  const field = useId();
  const [token, setToken] = useState("");
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    document.title = "Log in · Ark Broker";
    return () => {
      document.title = "Ark Broker";
    };
  }, []);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await send("POST", "/v1/login", { token: token.trim() });
      // From here on the page that was asked for is in the place of this form.
      const who = await client.fetchQuery({ ...visitor, staleTime: 0 });
      if (who === null) setError("The broker took the token, but the browser did not keep the login.");
    } catch (problem) {
      setError(problem instanceof Error ? problem.message : String(problem));
    } finally {
      setBusy(false);
    }
  };

  return (
    <form className={styles.form} onSubmit={(event) => void submit(event)}>
      <h1>Log in</h1>
      <p className="muted">
        This broker asks for a token. Whoever runs it makes one with{" "}
        <code>ark-broker token create me -p read -p answer</code>.
      </p>
      <label htmlFor={field}>Token</label>
      <input
        id={field}
        type="password"
        autoComplete="current-password"
        value={token}
        onChange={(event) => setToken(event.target.value)}
        required
        aria-invalid={error !== undefined}
      />
      {error !== undefined && (
        <p role="alert" className={styles.error}>
          {error}
        </p>
      )}
      <Button type="submit" primary disabled={busy}>
        Log in
      </Button>
    </form>
  );
}
