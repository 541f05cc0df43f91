import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { openQuestions } from "../../api/queries";
import type { StoredEvent } from "../../api/types";
import { openStream } from "../../live/stream";
import { concernsQuestion, rereading } from "./rereading";

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

/** Questions are read again whenever something happens to one of them, anywhere. */
export function useLiveQuestions(): void {
  const client = useQueryClient();
  useEffect(() => {
    const { want, stop } = rereading(() =>
      Promise.all([
        client.invalidateQueries({ queryKey: ["questions"] }),
        client.invalidateQueries({ queryKey: ["question"] }),
      ]),
    );
    const stream = openStream<StoredEvent>({
      url: `/v1/events/stream?${new URLSearchParams(TYPES.map((type) => ["type", type]))}`,
      onFrames: (frames) => {
        const open = client.getQueryData(openQuestions.queryKey);
        // Of what is not read to its end it is not known what waits.
        const known = open?.hasMore === false ? open.items : undefined;
        if (frames.some((frame) => concernsQuestion(frame.data, known))) want();
      },
      onGap: want,
      // What came between the page's own look and the stream's beginning.
      onState: (state) => {
        if (state === "live") want();
      },
    });
    return () => {
      stop();
      stream.close();
    };
  }, [client]);
}
