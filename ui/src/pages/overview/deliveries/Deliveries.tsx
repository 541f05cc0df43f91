import { useQuery } from "@tanstack/react-query";
import clsx from "clsx";
import { CircleAlert } from "lucide-react";
import { useState } from "react";
import { me } from "../../../api/queries";
import type { Delivery } from "../../../api/types";
import { ago, count, dateTime, duration, moment, printable } from "../../../format";
import { Button } from "../../../parts/Button";
import { useNow } from "../../../parts/useNow";
import overview from "../Overview.module.css";
import { DeadLetters } from "./DeadLetters";
import styles from "./Deliveries.module.css";
import { deliveriesQuery, mayLookAfter, nextQuery } from "./queries";
import { type Health, healthOf, kindOf, nameOf } from "./words";

/** Upstreams and webhooks: how far each is, and what it could not deliver. Not shown where there are none. */
export function Deliveries() {
  const who = useQuery(me);
  const { data } = useQuery({ ...deliveriesQuery, enabled: mayLookAfter(who.data) });
  const [opened, open] = useState<string>();
  if (data === undefined || data.length === 0) return null;
  const shown = data.find((each) => each.name === opened);
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard */}
      <section className={overview.tableFrame} tabIndex={0} aria-label="Deliveries">
        <table className={clsx(overview.table, styles.table)}>
          <caption>Deliveries</caption>
          <thead>
            <tr>
              <th scope="col">To</th>
              <th scope="col">State</th>
              <th scope="col">Behind</th>
              <th scope="col">Delivered</th>
              <th scope="col">Dead letters</th>
              <th scope="col">Last error</th>
            </tr>
          </thead>
          <tbody>
            {data.map((each) => (
              <Row key={each.name} delivery={each} onLetters={() => open(each.name)} />
            ))}
          </tbody>
        </table>
      </section>
      {shown !== undefined && <DeadLetters delivery={shown} close={() => open(undefined)} />}
    </>
  );
}

const LOOKS: Record<Health, string | undefined> = {
  delivering: styles.well,
  behind: styles.behind,
  failing: styles.failing,
};

function Row({ delivery, onLetters }: { delivery: Delivery; onLetters(): void }) {
  const now = useNow();
  const health = healthOf(delivery);
  return (
    <tr>
      <th scope="row">
        <span className={styles.name}>{printable(nameOf(delivery))}</span>
        <span className={styles.kind}>{kindOf(delivery)}</span>
      </th>
      <td>
        <span className={clsx(styles.state, LOOKS[health])}>{health}</span>
      </td>
      <td>
        <Behind delivery={delivery} now={now} />
      </td>
      <td title={lost(delivery)}>
        {count(delivery.delivered)}
        {delivery.rejected > 0 && <span className={styles.bad}> {count(delivery.rejected)} rejected</span>}
      </td>
      <td>
        {delivery.deadLetters === 0 ? (
          "0"
        ) : (
          <Button className={styles.letters} onClick={onLetters}>
            {count(delivery.deadLetters)} <span>show</span>
          </Button>
        )}
      </td>
      <td className={styles.error}>
        {delivery.lastError === undefined ? (
          <span className={overview.of}>none</span>
        ) : (
          <span className={delivery.failures > 0 ? styles.bad : styles.past} title={errorTitle(delivery)}>
            {delivery.failures > 0 && <CircleAlert size={13} aria-hidden />}
            <span className={styles.said}>{printable(delivery.lastError)}</span>
            <time dateTime={delivery.lastErrorAt}>{ago(delivery.lastErrorAt, now)}</time>
          </span>
        )}
      </td>
    </tr>
  );
}

/** In events, and in the age of the oldest that waits. */
function Behind({ delivery, now }: { delivery: Delivery; now: number }) {
  const isBehind = delivery.lag > 0;
  const { data } = useQuery({ ...nextQuery(delivery.position), enabled: isBehind });
  if (!isBehind) return "0";
  const since = moment(data ?? undefined);
  return (
    <>
      {count(delivery.lag)} {delivery.lag === 1 ? "event" : "events"}
      {since !== undefined && (
        <span className={overview.of} title={dateTime(data ?? undefined)}>
          {" "}
          {duration(Math.max(0, now - since))}
        </span>
      )}
    </>
  );
}

function errorTitle({ failures, lastErrorAt, pausedUntil, lastError }: Delivery): string {
  const parts = [printable(lastError ?? ""), dateTime(lastErrorAt)];
  if (failures > 0) parts.push(`${count(failures)} tries since the last success`);
  if (pausedUntil !== undefined) parts.push(`next try ${dateTime(pausedUntil)}`);
  return parts.join("\n");
}

function lost({ gaps, missed }: Delivery): string | undefined {
  return gaps === 0 ? undefined : `Retention removed up to ${count(missed)} before they were looked at`;
}
