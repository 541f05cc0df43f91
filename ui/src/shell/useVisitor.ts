import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";
import { access, send } from "../api/http";
import { visitor } from "../api/queries";
import type { Me } from "../api/types";

interface Visitor {
  /** null: nobody that the broker knows; undefined: that is not known yet. */
  who: Me | null | undefined;
  error: Error | null;
  retry(): void;
  logOut(): void;
  /** Why somebody is still logged in who did not want to be. */
  problem: string | undefined;
}

/**
 * Who looks at the page. Whatever request is refused because the broker does not know who asks, it is asked again who
 * that is; and of whoever is known no longer nothing is kept.
 */
export function useVisitor(): Visitor {
  const client = useQueryClient();
  const { data: who, error, refetch } = useQuery(visitor);
  const [problem, setProblem] = useState<string>();

  useEffect(() => {
    const askAgain = () =>
      void client.invalidateQueries({ queryKey: visitor.queryKey }, { cancelRefetch: false });
    access.addEventListener("unknown", askAgain);
    return () => access.removeEventListener("unknown", askAgain);
  }, [client]);

  // After the pages have gone, which would show what they have, and ask for it again.
  useEffect(() => {
    if (who !== null) return;
    setProblem(undefined);
    const others = { predicate: ({ queryKey }: { queryKey: readonly unknown[] }) => !isVisitor(queryKey) };
    void client.cancelQueries(others);
    client.removeQueries(others);
  }, [who, client]);

  const logOut = useCallback(async () => {
    setProblem(undefined);
    try {
      await send("POST", "/v1/logout");
    } catch (failure) {
      setProblem(failure instanceof Error ? failure.message : String(failure));
      return;
    }
    // What is on its way was asked for by somebody who was known.
    await client.cancelQueries({ queryKey: visitor.queryKey });
    client.setQueryData(visitor.queryKey, null);
  }, [client]);

  return {
    who,
    error,
    retry: useCallback(() => void refetch(), [refetch]),
    logOut: useCallback(() => void logOut(), [logOut]),
    problem,
  };
}

function isVisitor(queryKey: readonly unknown[]): boolean {
  return queryKey[0] === visitor.queryKey[0];
}
