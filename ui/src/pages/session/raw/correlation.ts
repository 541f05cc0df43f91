import type { StoredEvent } from "../../../api/types";

/** Why an event is in its session, in words. The rules are those of docs/correlation.md. */
const RULES: Record<string, string> = {
  explicit: "It names its session itself.",
  import: "It was taken over from another broker, which had it in this session.",
  baggage: "The W3C baggage of the request that brought it names the session.",
  operator: "An operator said that it belongs here.",
  trace: "Its trace belongs to this session: another event of the trace named it.",
  "query-uid": "The unique id of its query belongs to this session.",
  query: "The query that it names belongs to this session.",
  task: "Its A2A task belongs to this session.",
  "mcp-session": "It came over an MCP session that this session uses.",
  conversation: "Its conversation belongs to this session, or stands for it: nobody named another one.",
  "tool-call": "It has the id of a tool call that a model of this session made.",
  "trace-root": "Nobody named a session: its trace is one of its own.",
};

export function whyHere(rule: string | undefined): string {
  if (rule === undefined) return "Nothing says yet where it belongs.";
  return RULES[rule] ?? `The rule that placed it is called ${rule}.`;
}

/** By whom a link's session was named, as the end of a sentence. */
export function namedBy(rule: string | null | undefined): string {
  switch (rule) {
    case undefined:
    case null:
      return "";
    case "explicit":
      return "named by an event itself";
    case "baggage":
      return "named by baggage";
    case "operator":
      return "named by an operator";
    case "import":
      return "taken over by an import";
    default:
      return `found by its ${rule.replaceAll("-", " ")}`;
  }
}

/** A key that an event can be found by, and the parameters of `GET /v1/correlate` that ask for it. */
export interface Key {
  name: string;
  value: string;
  rule: string;
  ask: Record<string, string>;
}

/** The keys of an event, the most trusted first. */
export function keysOf(event: StoredEvent): Key[] {
  const keys: Key[] = [];
  const add = (name: string, rule: string, parameter: string, value: string | undefined, more = {}) => {
    if (value !== undefined) keys.push({ name, value, rule, ask: { [parameter]: value, ...more } });
  };
  add("Trace", "trace", "traceId", event.traceId);
  add("Query uid", "query-uid", "queryUid", event.queryUid);
  add("Query", "query", "query", event.query);
  add("Task", "task", "taskId", event.taskId);
  const server = event.mcpServer === undefined ? {} : { mcpServer: event.mcpServer };
  add("MCP session", "mcp-session", "mcpSessionId", event.mcpSessionId, server);
  add("Conversation", "conversation", "conversationId", event.conversationId);
  add("Tool call", "tool-call", "toolCallId", event.toolCallId);
  return keys;
}
