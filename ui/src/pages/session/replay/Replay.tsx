import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import type { Entry, StoredEvent } from "../../../api/types";
import { count, printable } from "../../../format";
import { Button } from "../../../parts/Button";
import { Failure } from "../../../parts/Notice";
import { loadRun, MOST_CHUNKS } from "./load";
import { Player } from "./Player";
import styles from "./replay.module.css";
import { trackOf } from "./schedule";

interface Props {
  session: string;
  query: string;
  entry: Entry;
}

/** A stream of chunks: while it is written its newest text, and at any time the whole of it, typed out again. */
export function Replay({ session, query, entry }: Props) {
  const { data, error, refetch, isFetching } = useQuery({
    queryKey: ["run", session, query, entry.seq],
    queryFn: ({ signal }) => loadRun(session, query, entry, signal),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
  });
  if (data === undefined) {
    return error === null ? (
      <p className={styles.loading} role="status">
        Loading the recorded chunks …
      </p>
    ) : (
      <Failure error={error} retry={() => void refetch()} />
    );
  }
  const missing = Math.min(entry.chunks ?? 0, MOST_CHUNKS) - data.length;
  return (
    <div className={styles.replay}>
      {entry.text !== undefined && (
        <section className={styles.now} aria-label="What is being written now">
          <span className={styles.label}>Now</span>
          <p>{entry.text === "" ? "Waiting for the next chunk …" : printable(entry.text)}</p>
        </section>
      )}
      <Recorded chunks={data} />
      {missing > 0 && (
        <p className={styles.more}>
          {count(missing)} {missing === 1 ? "chunk has" : "chunks have"} come since.{" "}
          <Button disabled={isFetching} onClick={() => void refetch()}>
            Replay with {missing === 1 ? "it" : "them"}
          </Button>
        </p>
      )}
      {(entry.chunks ?? 0) > MOST_CHUNKS && (
        <p className={styles.more}>The first {count(MOST_CHUNKS)} chunks of this stream are played.</p>
      )}
    </div>
  );
}

function Recorded({ chunks }: { chunks: readonly StoredEvent[] }) {
  const track = useMemo(() => trackOf(chunks), [chunks]);
  if (track.times.length === 0) {
    return <p className={styles.loading}>The chunks of this stream are not recorded any more.</p>;
  }
  return <Player track={track} />;
}
