import { useEffect, useState } from "react";
import type { SessionList } from "./list";

interface Names {
  agents: readonly string[];
  namespaces: readonly string[];
}

const MOST = 100;
const PAUSE_MS = 1_000;

/** Names that were seen in the list, to choose a filter from; they stay when a filter hides those that had them. */
export function useNames(list: SessionList): Names {
  const [names, setNames] = useState<Names>({ agents: [], namespaces: [] });
  const { rows } = list;
  useEffect(() => {
    const timer = setTimeout(() => setNames((before) => withNames(before, rows)), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [rows]);
  return names;
}

function withNames(before: Names, rows: SessionList["rows"]): Names {
  const agents = new Set(before.agents);
  const namespaces = new Set(before.namespaces);
  for (const { session } of rows.values()) {
    for (const agent of session.agents ?? []) if (agents.size < MOST) agents.add(agent);
    if (session.namespace !== undefined && namespaces.size < MOST) namespaces.add(session.namespace);
  }
  if (agents.size === before.agents.length && namespaces.size === before.namespaces.length) return before;
  return { agents: [...agents].sort(), namespaces: [...namespaces].sort() };
}
