import { Dialog, DialogDismiss, DialogHeading } from "@ariakit/react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { RotateCcw, X } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";
import { ApiError, path, send } from "../../../api/http";
import type { DeadLetterPage, Delivery, Resent } from "../../../api/types";
import { brief, count, dateTime, printable } from "../../../format";
import { Button } from "../../../parts/Button";
import { Failure, Loading } from "../../../parts/Notice";
import styles from "./Deliveries.module.css";
import { deadLettersQuery } from "./queries";
import { nameOf } from "./words";

interface Props {
  delivery: Delivery;
  close(): void;
}

/** What a receiver would not take, and why; it can be sent again. */
export function DeadLetters({ delivery, close }: Props) {
  const { data, error, refetch } = useQuery(deadLettersQuery(delivery.name));
  const { resend, isSending, said } = useResend(delivery.name);
  return (
    <Dialog open onClose={close} className={styles.dialog} backdrop={<div className={styles.backdrop} />}>
      <div className={styles.dialogHead}>
        <DialogHeading className={styles.title}>Dead letters of {printable(nameOf(delivery))}</DialogHeading>
        <DialogDismiss className={styles.close} aria-label="Close">
          <X size={16} aria-hidden />
        </DialogDismiss>
      </div>
      <div className={styles.tools}>
        <Button
          primary
          disabled={isSending || data === undefined || data.items.length === 0}
          onClick={() => void resend(undefined)}
        >
          <RotateCcw size={14} aria-hidden /> {isSending ? "Sending …" : "Send all again"}
        </Button>
        <p className={styles.outcome} role="status">
          {said}
        </p>
      </div>
      {data === undefined ? (
        error === null ? (
          <Loading what="the dead letters" />
        ) : (
          <Failure error={error} retry={() => void refetch()} />
        )
      ) : (
        <Letters page={data} isSending={isSending} onResend={(seq) => void resend([seq])} />
      )}
    </Dialog>
  );
}

interface LettersProps {
  page: DeadLetterPage;
  isSending: boolean;
  onResend(seq: number): void;
}

function Letters({ page, isSending, onResend }: LettersProps) {
  if (page.items.length === 0) return <p className={styles.none}>There are none any more.</p>;
  return (
    <>
      <ul className={styles.list}>
        {page.items.map(({ seq, at, reason, event }) => (
          <li key={seq}>
            <div>
              <span className={styles.what}>
                {printable(event.type)} <Place session={event.sessionId} query={event.query} />
              </span>
              <span className={styles.reason}>{brief(reason, 400)}</span>
              <span className={styles.when}>
                seq {seq} · <time dateTime={at}>{dateTime(at)}</time>
              </span>
            </div>
            <Button disabled={isSending} onClick={() => onResend(seq)}>
              Send again<span className="visually-hidden"> seq {seq}</span>
            </Button>
          </li>
        ))}
      </ul>
      {page.more && <p className={styles.none}>These are the oldest {page.items.length}.</p>}
    </>
  );
}

function Place({ session, query }: { session: string | undefined; query: string | undefined }) {
  if (session === undefined) return null;
  const of = query === undefined ? "" : `?query=${encodeURIComponent(query)}`;
  return (
    <Link to={`/ui/sessions/${encodeURIComponent(session)}${of}`}>
      {brief([session, query].filter((each) => each !== undefined).join(" › "), 80)}
    </Link>
  );
}

/** Sends dead letters again, those of `seqs` or all, and tells what came of it. */
function useResend(name: string) {
  const client = useQueryClient();
  const [isSending, setSending] = useState(false);
  const [said, setSaid] = useState("");
  const resend = async (seqs: number[] | undefined) => {
    setSending(true);
    setSaid("");
    try {
      const url = path(["v1", "deliveries", name, "resend"]);
      setSaid(inWords(await send<Resent>("POST", url, seqs === undefined ? { all: true } : { seqs })));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setSaid(error.message);
    } finally {
      setSending(false);
      void client.invalidateQueries({ queryKey: ["deliveries"] });
    }
  };
  return { resend, isSending, said };
}

function inWords({ delivered, dead, remaining, message }: Resent): string {
  const parts = [`${count(delivered)} delivered`];
  if (dead > 0) parts.push(`${count(dead)} refused again`);
  if (remaining > 0) parts.push(`${count(remaining)} still wait`);
  return parts.join(", ") + (message === undefined ? "" : `: ${printable(message)}`);
}
