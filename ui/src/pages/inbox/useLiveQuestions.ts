import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { openStream } from "../../live/stream";

/** Every event that a question may begin or end with. */
const TYPES = [
  "question.asked",
  "question.answered",
  "question.expired",
  "question.canceled",
  "question.escalated",
  "tool_approval_request",
  "tool_approval_response",
  "task.updated",
];
/** Many questions at once are one look at them. */
const SETTLE_MS = 300;

/** Questions are read again whenever something happens to one of them, anywhere. */
export function useLiveQuestions(): void {
  const client = useQueryClient();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = () => {
      if (timer !== undefined) return;
      timer = setTimeout(() => {
        timer = undefined;
        void client.invalidateQueries({ queryKey: ["questions"] });
        void client.invalidateQueries({ queryKey: ["question"] });
      }, SETTLE_MS);
    };
    const stream = openStream<unknown>({
      url: `/v1/events/stream?${new URLSearchParams(TYPES.map((type) => ["type", type]))}`,
      onFrames: read,
      onGap: read,
      // What came between the page's own look and the stream's beginning.
      onState: (state) => {
        if (state === "live") read();
      },
    });
    return () => {
      clearTimeout(timer);
      stream.close();
    };
  }, [client]);
}
