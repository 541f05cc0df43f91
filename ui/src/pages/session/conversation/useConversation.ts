import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { conversationQuery } from "../../../api/queries";

/** It is rebuilt from all events: not at every one of them. */
const SETTLE_MS = 1_500;

/** What was said in a session, or in one query of it; read again whenever something happened there. */
export function useConversation(id: string, query: string, revisions: Readonly<Record<string, number>>) {
  const found = useQuery(conversationQuery(id, query));
  const { refetch } = found;
  const revision = query === "" ? sum(revisions) : (revisions[query] ?? 0);
  const seen = useRef({ query, revision });
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    const before = seen.current;
    seen.current = { query, revision };
    if (before.query !== query || before.revision === revision || timer.current !== undefined) return;
    timer.current = setTimeout(() => {
      timer.current = undefined;
      void refetch();
    }, SETTLE_MS);
  }, [query, revision, refetch]);
  useEffect(() => {
    return () => {
      clearTimeout(timer.current);
      timer.current = undefined;
    };
  }, []);
  return found;
}

function sum(revisions: Readonly<Record<string, number>>): number {
  return Object.values(revisions).reduce((total, each) => total + each, 0);
}
