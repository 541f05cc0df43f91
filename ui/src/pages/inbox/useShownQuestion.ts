import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError } from "../../api/http";
import { questionQuery } from "../../api/queries";

/**
 * The question that is looked at: the one that is named, else the one that was looked at before, else the first. What
 * comes and goes in the list changes nothing of that, so that nobody answers what has just taken another's place; only
 * one that the broker has no longer gives way.
 */
export function useShownQuestion(named: string | undefined, first: string | undefined): string | undefined {
  const [kept, setKept] = useState<string>();
  const { error } = useQuery({
    ...questionQuery(kept ?? ""),
    enabled: named === undefined && kept !== undefined,
  });
  const isGone = error instanceof ApiError && error.status === 404;
  const shown = named ?? (isGone ? first : (kept ?? first));
  if (shown !== kept) setKept(shown);
  return shown;
}
