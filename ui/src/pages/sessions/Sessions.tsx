import { Keyboard } from "lucide-react";
import { type RefObject, useCallback, useMemo, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import { Button } from "../../parts/Button";
import { Failure, Loading } from "../../parts/Notice";
import { EmptySessions } from "./EmptySessions";
import { type Filters, filtersFrom, withFilter } from "./filters";
import { KeysDialog } from "./KeysDialog";
import { LiveMark } from "./LiveMark";
import { type Mover, SessionGrid } from "./SessionGrid";
import styles from "./Sessions.module.css";
import { StatusTabs } from "./StatusTabs";
import { Toolbar } from "./Toolbar";
import { useKeys, useKeysOn } from "./useKeys";
import { useNames } from "./useNames";
import { type LiveList, useSessionList } from "./useSessionList";
import { useStatusCounts } from "./useStatusCounts";

/** All sessions, live: newest activity first, narrowed by what the address says. */
export function Sessions() {
  const [filters, setFilter, clear] = useFilters();
  const live = useSessionList(filters);
  const counts = useStatusCounts(filters, live.list, live.isStale);
  const names = useNames(live.list);
  const search = useRef<HTMLInputElement>(null);
  const mover = useRef<Mover>(null);
  const [showsKeys, setShowsKeys] = useState(false);
  const [keysOn, setKeysOn] = useKeysOn();
  useKeys(keysOn, {
    j: () => mover.current?.move(1),
    k: () => mover.current?.move(-1),
    n: live.settle,
    "/": () => search.current?.focus(),
    "?": () => setShowsKeys(true),
  });

  return (
    <section className={styles.page} aria-labelledby="sessions-title">
      <header className={styles.top}>
        <h1 id="sessions-title">Sessions</h1>
        <LiveMark state={live.state} />
        <StatusTabs
          counts={counts}
          chosen={filters.status}
          choose={(status) => setFilter("status", status)}
        />
        <Button
          className={styles.keysButton}
          onClick={() => setShowsKeys(true)}
          aria-label="Keys"
          title="Keys (?)"
        >
          <Keyboard size={15} aria-hidden />
        </Button>
      </header>
      <Toolbar filters={filters} set={setFilter} clear={clear} search={search} {...names} />
      <Content live={live} mover={mover} isFiltered={Object.keys(filters).length > 0} clear={clear} />
      <KeysDialog open={showsKeys} close={() => setShowsKeys(false)} keysOn={keysOn} setKeysOn={setKeysOn} />
    </section>
  );
}

interface ContentProps {
  live: LiveList;
  mover: RefObject<Mover | null>;
  isFiltered: boolean;
  clear(): void;
}

function Content({ live, mover, isFiltered, clear }: ContentProps) {
  const isEmpty = live.list.order.length === 0;
  if (live.error !== null && (live.isLoading || live.isStale)) {
    return <Failure error={live.error} retry={live.retry} />;
  }
  if (live.isLoading) return <Loading what="sessions" />;
  if (isEmpty && live.list.next === undefined && !live.isStale) {
    return <EmptySessions isFiltered={isFiltered} clear={clear} />;
  }
  return (
    <>
      {live.error !== null && (
        <p className={styles.trouble} role="alert">
          {live.error.message} <Button onClick={live.retry}>Try again</Button>
        </p>
      )}
      <SessionGrid live={live} mover={mover} />
    </>
  );
}

/** The filters in the address. A change replaces it: going back leaves the page, not the last letter. */
function useFilters(): [Filters, (name: keyof Filters, value: string | undefined) => void, () => void] {
  const [parameters, setParameters] = useSearchParams();
  const text = parameters.toString();
  const filters = useMemo(() => filtersFrom(new URLSearchParams(text)), [text]);
  const set = useCallback(
    (name: keyof Filters, value: string | undefined) =>
      setParameters((before) => withFilter(before, name, value), { replace: true }),
    [setParameters],
  );
  const clear = useCallback(() => setParameters({}, { replace: true }), [setParameters]);
  return [filters, set, clear];
}
