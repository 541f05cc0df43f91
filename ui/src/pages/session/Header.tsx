import { ChevronRight, CircleAlert, Pause, Play } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Session } from "../../api/types";
import { count, dateTime, dollars, duration, moment, printable } from "../../format";
import type { LiveSession } from "../../live/useLiveSession";
import { Button } from "../../parts/Button";
import { Copy } from "../../parts/Copy";
import { Status } from "../../parts/Status";
import { useNow } from "../../parts/useNow";
import { Connection } from "./Connection";
import styles from "./Session.module.css";

interface Props {
  id: string;
  session: Session;
  live: LiveSession;
}

/** A session at a glance. */
export function Header({ id, session, live }: Props) {
  return (
    <header className={styles.header}>
      <div className={styles.title}>
        <Link to="/ui/sessions" className={styles.crumb}>
          Sessions
        </Link>
        <ChevronRight size={14} aria-hidden className={styles.separator} />
        <h1 title={printable(id)}>{printable(id)}</h1>
        <Status of={session.status} />
        <span className={styles.controls}>
          <Connection state={live.state} isPaused={live.isPaused} held={live.held} />
          <Button
            onClick={() => live.setPaused(!live.isPaused)}
            aria-pressed={live.isPaused}
            disabled={live.gone}
          >
            {live.isPaused ? <Play size={14} aria-hidden /> : <Pause size={14} aria-hidden />}
            {live.isPaused ? "Resume" : "Pause"}
          </Button>
          <Copy text={() => window.location.href} label="Copy link" />
        </span>
      </div>
      <Figures id={id} session={session} live={live} />
    </header>
  );
}

function Figures({ id, session, live }: Props) {
  const { counts, tokens } = session;
  const first = live.failures[0];
  return (
    <dl className={styles.figures}>
      <Figure name="Agents" isLess>
        {names(session.agents)}
      </Figure>
      <Figure name="Models" isLess>
        {names(session.models)}
      </Figure>
      <Figure name="Queries">
        {count(counts.queries)}
        <span className={styles.phases}>
          {Object.entries(counts.phases)
            .filter(([, many]) => many > 0)
            .map(([phase, many]) => `${many} ${phase}`)
            .join(" · ")}
        </span>
      </Figure>
      <Figure name="Tokens" title={`${tokens.input} in, ${tokens.output} out`}>
        {count(tokens.input)}
        <small> in</small> {count(tokens.output)}
        <small> out</small>
      </Figure>
      <Figure name="Cost">{session.cost === undefined ? undefined : dollars(session.cost)}</Figure>
      <Figure name="Duration" title={dateTime(session.firstActivity)}>
        <Age session={session} isGone={live.gone} />
      </Figure>
      <Figure name="Events" isLess>
        {count(counts.events)}
      </Figure>
      <Figure name="Tool calls" isLess>
        {counts.toolCalls > 0 ? count(counts.toolCalls) : undefined}
      </Figure>
      {first !== undefined && (
        <Figure name="Errors">
          <Link
            className={styles.errors}
            to={{
              pathname: `/ui/sessions/${encodeURIComponent(id)}`,
              search: `?query=${encodeURIComponent(first.query)}&event=${first.seq}`,
            }}
          >
            <CircleAlert size={14} aria-hidden /> {count(live.failures.length)}
            <span className={styles.errorsHint}>show first</span>
          </Link>
        </Figure>
      )}
    </dl>
  );
}

interface FigureProps {
  name: string;
  title?: string;
  /** Left out where there is little room. */
  isLess?: boolean;
  children: ReactNode;
}

function Figure({ name, title, isLess = false, children }: FigureProps) {
  if (children === undefined) return null;
  return (
    <div title={title} className={isLess ? styles.less : undefined}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function names(all: readonly string[] | undefined): string | undefined {
  if (all === undefined || all.length === 0) return undefined;
  const shown = all.slice(0, 3).map(printable).join(", ");
  return all.length > 3 ? `${shown} +${all.length - 3}` : shown;
}

function Age({ session, isGone }: { session: Session; isGone: boolean }) {
  const now = useNow();
  const began = moment(session.firstActivity);
  if (began === undefined) return "–";
  const isGoing = !isGone && (session.status === "active" || session.status === "waiting");
  const end = isGoing ? now : moment(session.lastActivity);
  return duration(Math.max(0, (end ?? began) - began));
}
