import type { SessionStatus, SessionSummary } from "../../api/types";
import { moment } from "../../format";

export const STATUSES: readonly SessionStatus[] = ["active", "waiting", "error", "idle"];

/** What narrows the list; absent is anything. `since` is a length of time ("1h") or an RFC 3339 time. */
export interface Filters {
  status?: SessionStatus;
  agent?: string;
  namespace?: string;
  q?: string;
  since?: string;
}

export const SINCE: readonly { value: string; name: string }[] = [
  { value: "15m", name: "Last 15 minutes" },
  { value: "1h", name: "Last hour" },
  { value: "24h", name: "Last 24 hours" },
  { value: "7d", name: "Last 7 days" },
  { value: "30d", name: "Last 30 days" },
];

const UNITS: Record<string, number | undefined> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
/** The longest text that the API looks for, and the longest name. */
const LONGEST_TEXT = 200;
const LONGEST_NAME = 256;

/** The filters that a URL names. What makes no sense is left out. */
export function filtersFrom(parameters: URLSearchParams): Filters {
  const filters: Filters = {};
  const status = STATUSES.find((each) => each === parameters.get("status"));
  if (status !== undefined) filters.status = status;
  const agent = parameters.get("agent")?.trim().slice(0, LONGEST_NAME);
  if (agent) filters.agent = agent;
  const namespace = parameters.get("namespace")?.trim().slice(0, LONGEST_NAME);
  if (namespace) filters.namespace = namespace;
  const q = parameters.get("q")?.trim().slice(0, LONGEST_TEXT);
  if (q) filters.q = q;
  const since = parameters.get("since");
  if (since !== null && sinceTime(since, 0) !== undefined) filters.since = since;
  return filters;
}

/** The same address with one filter changed; undefined or "" takes it away. */
export function withFilter(
  parameters: URLSearchParams,
  name: keyof Filters,
  value: string | undefined,
): URLSearchParams {
  const changed = new URLSearchParams(parameters);
  if (value === undefined || value === "") changed.delete(name);
  else changed.set(name, value);
  return changed;
}

/** Milliseconds since the epoch at which `since` begins; undefined for what is no time. */
export function sinceTime(since: string | undefined, now: number): number | undefined {
  const parts = /^(\d{1,4})([mhd])$/.exec(since ?? "");
  const unit = UNITS[parts?.[2] ?? ""];
  if (parts !== null && unit !== undefined) return now - Number(parts[1]) * unit;
  return moment(since);
}

/** The filters as the API's parameters. */
export function parametersOf(filters: Filters, now: number): Record<string, string | undefined> {
  const since = sinceTime(filters.since, now);
  return { ...filters, since: since === undefined ? undefined : new Date(since).toISOString() };
}

/**
 * Whether a session passes. A search looks at names of queries too, which a summary does not have: where only those
 * could decide it is "unknown", and the broker knows.
 */
export function passes(session: SessionSummary, filters: Filters, now: number): "yes" | "no" | "unknown" {
  if (filters.status !== undefined && session.status !== filters.status) return "no";
  if (filters.namespace !== undefined && session.namespace !== filters.namespace) return "no";
  const agents = (session.agents ?? []).map((agent) => agent.toLowerCase());
  if (filters.agent !== undefined && !agents.includes(filters.agent.toLowerCase())) return "no";
  const since = sinceTime(filters.since, now);
  const last = moment(session.lastActivity);
  if (since !== undefined && (last === undefined || last < since)) return "no";
  if (filters.q === undefined) return "yes";
  const text = filters.q.toLowerCase();
  return [session.id.toLowerCase(), ...agents].some((name) => name.includes(text)) ? "yes" : "unknown";
}
