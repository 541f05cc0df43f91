import { Link } from "react-router";
import type { FiguresOf } from "../../api/types";
import { brief, count, dollars, duration } from "../../format";
import styles from "./Overview.module.css";
import { type By, errors, isEmpty, labelOf, latency, type Series } from "./series";
import { Swatch } from "./Tip";
import { percent } from "./Totals";

interface Props {
  groups: readonly FiguresOf[];
  by: By;
  /** How the charts show these groups, for their colours; none where they do not. */
  series: readonly Series[];
}

/** The figures of each agent, or model. */
export function GroupTable({ groups, by, series }: Props) {
  const shown = groups.filter((group) => !isEmpty(group.total, by));
  const isAgent = by === "agent";
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard
    <section className={styles.tableFrame} tabIndex={0} aria-label={`By ${by}`}>
      <table className={styles.table}>
        <caption>By {by}</caption>
        <thead>
          <tr>
            <th scope="col">{isAgent ? "Agent" : "Model"}</th>
            <th scope="col">Sessions</th>
            <th scope="col">{isAgent ? "Queries" : "Calls"}</th>
            <th scope="col">Errors</th>
            <th scope="col">Tokens in</th>
            <th scope="col">Tokens out</th>
            <th scope="col">Cost</th>
            <th scope="col">p50</th>
            <th scope="col">p95</th>
            {isAgent && <th scope="col">First token</th>}
          </tr>
        </thead>
        <tbody>
          {shown.map((group) => (
            <GroupRow key={labelOf(group, by)} group={group} by={by} series={series} />
          ))}
          {shown.length === 0 && (
            <tr>
              <td className={styles.of}>No {by} in this time</td>
            </tr>
          )}
        </tbody>
      </table>
    </section>
  );
}

function GroupRow({ group, by, series }: { group: FiguresOf; by: By; series: readonly Series[] }) {
  const { total } = group;
  const own = series.find(({ groups }) => groups.includes(group));
  const time = latency(total, by);
  const failed = errors(total, by);
  const all = by === "agent" ? total.queries.total : total.modelCalls;
  return (
    <tr>
      <th scope="row">
        {own !== undefined && <Swatch of={own.key} />}
        <Name group={group} by={by} />
      </th>
      <td>{count(total.sessions.total)}</td>
      <td>{count(all)}</td>
      <td className={failed > 0 ? styles.bad : undefined}>
        {count(failed)}
        {failed > 0 && all > 0 && <span className={styles.of}> {percent(failed / all)}</span>}
      </td>
      <td>{count(total.tokens.input)}</td>
      <td>{count(total.tokens.output)}</td>
      <td>{dollars(total.cost)}</td>
      <td>{duration(time?.p50)}</td>
      <td>{duration(time?.p95)}</td>
      {by === "agent" && <td>{duration(total.timeToFirstToken?.p50)}</td>}
    </tr>
  );
}

function Name({ group, by }: { group: FiguresOf; by: By }) {
  const label = brief(labelOf(group, by), 60);
  if (by === "model" || group.name == null || group.others === true) return label;
  return <Link to={`/ui/sessions?agent=${encodeURIComponent(group.name)}`}>{label}</Link>;
}
