import { useMemo, useRef } from "react";
import { useSearchParams } from "react-router";
import type { Conversation, Entry, Session } from "../../../api/types";
import { brief } from "../../../format";
import { Copy } from "../../../parts/Copy";
import { Failure, Loading, Notice } from "../../../parts/Notice";
import type { TabProps } from "../Session";
import styles from "./Conversation.module.css";
import { Transcript } from "./Transcript";
import { withToolEntries } from "./toolEntries";
import { asMarkdown, transcript } from "./transcript";
import { useConversation } from "./useConversation";

/** What was said, as a chat. `?query=` names one query; `?conversation=` the position of one conversation. */
export function ConversationTab({ id, live }: TabProps) {
  const [parameters, setParameters] = useSearchParams();
  const query = parameters.get("query") ?? "";
  const chosen = query === "" ? (parameters.get("conversation") ?? "") : "";
  const { data, dataUpdatedAt, error, isPlaceholderData, refetch } = useConversation(
    id,
    query,
    live.revisions,
  );
  const messages = useMemo(() => messagesOf(data, chosen), [data, chosen]);
  const said = useMemo(() => transcript(messages), [messages]);
  const session = useRef(live.session);
  session.current = live.session;
  // Once for each reading, of the messages or of a query, which is when enough has happened: not for every event.
  // biome-ignore lint/correctness/useExhaustiveDependencies: of the session what is known at that time
  const turns = useMemo(
    () => withToolEntries(said, entriesOf(session.current, queriesOf(data, query, chosen))),
    [said, data, dataUpdatedAt, live.readings, query, chosen],
  );
  const queries = live.session?.queries ?? {};
  const isRunning = Object.entries(queries).some(
    ([name, each]) => (query === "" || name === query) && each.phase === "running",
  );
  const choose = (value: string) => {
    const [kind, name] = [value.slice(0, 1), value.slice(1)];
    setParameters(kind === "q" ? { query: name } : kind === "c" ? { conversation: name } : {}, {
      replace: true,
    });
  };
  return (
    <div className={styles.tab}>
      <div className={styles.tools}>
        <label>
          <span className="visually-hidden">Which conversation</span>
          <select
            className={styles.control}
            value={query !== "" ? `q${query}` : chosen !== "" ? `c${chosen}` : ""}
            onChange={(event) => choose(event.target.value)}
          >
            <option value="">The whole session</option>
            {query === "" && data !== undefined && data.conversations.length > 1 && (
              <optgroup label="Conversations">
                {data.conversations.map((each, at) => (
                  <option key={String(at)} value={`c${at}`}>
                    {brief(each.id ?? each.queries.join(", "), 60)}
                  </option>
                ))}
              </optgroup>
            )}
            <optgroup label="Queries">
              {query !== "" && !Object.hasOwn(queries, query) && (
                <option value={`q${query}`}>{brief(query, 60)}</option>
              )}
              {Object.keys(queries).map((name) => (
                <option key={name} value={`q${name}`}>
                  {brief(name, 60)}
                </option>
              ))}
            </optgroup>
          </select>
        </label>
        <span className={styles.total}>
          {said.length} {said.length === 1 ? "message" : "messages"}
        </span>
        <div className={styles.copies}>
          <Copy text={() => JSON.stringify(messages, null, 2)} label="Copy JSON" />
          <Copy text={() => asMarkdown(turns)} label="Copy Markdown" />
        </div>
      </div>
      {data?.truncated === true && (
        <p className={styles.truncated} role="status">
          The session is longer than what is looked at: the newest messages may be missing here. Choose one
          query to see all of it.
        </p>
      )}
      {data === undefined ? (
        error === null ? (
          <Loading what="the conversation" />
        ) : (
          <Failure error={error} retry={() => void refetch()} />
        )
      ) : turns.length === 0 && !isPlaceholderData ? (
        <Notice title="Nothing was said yet">
          <p>Messages come from spans with content, streamed chunks and stored messages.</p>
        </Notice>
      ) : (
        <Transcript key={`${query} ${chosen}`} turns={turns} isRunning={isRunning} />
      )}
    </div>
  );
}

function messagesOf(conversation: Conversation | undefined, chosen: string) {
  if (conversation === undefined) return [];
  const one = chosen === "" ? undefined : conversation.conversations[Number(chosen)];
  return one?.messages ?? conversation.messages;
}

/** The queries that are looked at; undefined: all of them, and what belongs to none. */
function queriesOf(conversation: Conversation | undefined, query: string, chosen: string) {
  if (query !== "") return [query];
  return chosen === "" ? undefined : conversation?.conversations[Number(chosen)]?.queries;
}

function entriesOf(session: Session | undefined, names: readonly string[] | undefined): Entry[] {
  if (session === undefined) return [];
  if (names === undefined) {
    return [...Object.values(session.queries).flatMap((each) => each.events), ...(session.events ?? [])];
  }
  return names.flatMap((name) =>
    Object.hasOwn(session.queries, name) ? (session.queries[name]?.events ?? []) : [],
  );
}
