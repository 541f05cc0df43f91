import type { ReactNode } from "react";
import { ApiError } from "../api/http";
import { Button } from "./Button";
import styles from "./parts.module.css";

/** What stands in the place of content that is not there. */
export function Notice({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={styles.notice}>
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** What went wrong, and what can be done. */
export function Failure({ error, retry }: { error: Error; retry?: () => void }) {
  const isGone = error instanceof ApiError && error.status === 404;
  return (
    <div className={styles.notice} role="alert">
      <h2>{isGone ? "Not found" : "This could not be loaded"}</h2>
      <p className={styles.error}>{error.message}</p>
      {error instanceof ApiError && error.requestId !== undefined && (
        <p className="mono">request {error.requestId}</p>
      )}
      {retry !== undefined && <Button onClick={retry}>Try again</Button>}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <div className={styles.notice} role="status">
      Loading {what} …
    </div>
  );
}
