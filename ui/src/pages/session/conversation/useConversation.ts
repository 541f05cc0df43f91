import { useQuery, useQueryClient } from "@tanstack/react-query";
import { conversationQuery } from "../../../api/queries";
import { useReread } from "../useReread";

/** What was said in a session, or in one query of it; read again, not too often, whenever something happened there. */
export function useConversation(id: string, query: string, revisions: Readonly<Record<string, number>>) {
  const client = useQueryClient();
  const found = useQuery(conversationQuery(id, query));
  const { refetch } = found;
  const read = async () => {
    const isJoined = client.isFetching({ queryKey: conversationQuery(id, query).queryKey }) > 0;
    // A reading that is under way is not given up for another one, which would take as long.
    await refetch({ cancelRefetch: false });
    return !isJoined;
  };
  const revision = query === "" ? sum(revisions) : (revisions[query] ?? 0);
  useReread(read, { key: query, revision, isOver: false });
  return found;
}

function sum(revisions: Readonly<Record<string, number>>): number {
  return Object.values(revisions).reduce((total, each) => total + each, 0);
}
