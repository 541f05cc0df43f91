/**
 * The API's JSON, as it comes: camelCase, times RFC 3339 with nanoseconds, durations in milliseconds, costs in US dollars.
 * What nobody said is absent.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export type Phase = "pending" | "running" | "waiting" | "done" | "error" | "canceled";
export type SessionStatus = "active" | "waiting" | "idle" | "error";

export interface Tokens {
  input: number;
  output: number;
  cached?: number;
  reasoning?: number;
}

export interface Counts {
  queries: number;
  phases: Partial<Record<Phase, number>>;
  events: number;
  toolCalls: number;
  modelCalls: number;
  chunks: number;
  errors: number;
}

/** An item of `GET /v1/sessions`, and what `GET /v1/stream` sends of a session. */
export interface SessionSummary {
  id: string;
  namespace?: string;
  status: SessionStatus;
  agents?: string[];
  participants?: string[];
  models?: string[];
  providers?: string[];
  users?: string[];
  counts: Counts;
  tokens: Tokens;
  cost?: number;
  estimatedCost?: number;
  unpricedModels?: string[];
  firstActivity?: string;
  lastActivity?: string;
  /** Events in each of equally long slices of the session's life, oldest first. */
  activity?: number[];
  /** Length of such a slice. */
  activityInterval?: number;
  seq: number;
}

/** A frame of `GET /v1/stream`: a session that changed, or the id of one that is gone. */
export type SessionChange =
  | { session: Omit<SessionSummary, "seq">; gone?: false }
  | { session: { id: string }; gone: true };

export interface SessionPage {
  items: SessionSummary[];
  nextCursor?: string;
  seq: number;
  log: string;
}

/** One thing that happened, as a person would count it: a tool call and its result are one entry, and so is a run of chunks. */
export interface Entry {
  /** Position of its first event in the session's stream: unique in a session. */
  seq?: number;
  type: string;
  ts?: string;
  /** The span it was reported by, or in. */
  spanId?: string;
  name?: string;
  duration?: number;
  status?: string;
  error?: string;
  agent?: string;
  model?: string;
  provider?: string;
  // a tool call
  tool?: string;
  toolCallId?: string;
  input?: Json;
  output?: Json;
  mcpServer?: string;
  // type "stream"
  stream?: string;
  chunks?: number;
  complete?: boolean;
  /** A number for a stream, else what a model call used. */
  tokens?: number | Tokens;
  timeToFirstToken?: number;
  finishReason?: string;
  cost?: number;
  costBy?: string;
  message?: string;
  questionId?: string;
  questionUri?: string;
  taskId?: string;
  taskState?: string;
  /** Never sent: the newest text of a stream that is being written, as the page saw it come. */
  text?: string;
}

export interface TaskState {
  state?: string;
  agent?: string;
  updated?: string;
}

/** A query in a session's view. */
export interface Query {
  phase: Phase;
  traceId?: string;
  /** All that it was seen in, by time. */
  traceIds?: string[];
  mcpSessions: Record<string, string>;
  streamId?: string;
  agents?: string[];
  models?: string[];
  providers?: string[];
  users?: string[];
  conversationIds?: string[];
  tasks?: Record<string, TaskState>;
  streams?: string[];
  tokens: Tokens;
  cost?: number;
  estimatedCost?: number;
  retries?: number;
  error?: string;
  errorSpan?: string;
  startedAt?: string;
  endedAt?: string;
  duration?: number;
  timeToFirstToken?: number;
  events: Entry[];
  truncated?: boolean;
}

/** `GET /v1/queries/{query}`: the query at one moment. */
export interface QueryAnswer extends Query {
  name: string;
  session?: string;
  counts?: { events: number; chunks: number; toolCalls: number; modelCalls: number };
  seq: number;
  log: string;
}

/** `GET /v1/sessions/{id}`. */
export interface Session extends SessionSummary {
  queries: Record<string, Query>;
  /** Entries that belong to no query. */
  events?: Entry[];
  truncated?: boolean;
  /** Of a truncated view: the position of the last event in it. */
  truncatedAfter?: number;
  log: string;
}

/** An event as stored. */
export interface StoredEvent {
  seq: number;
  sessionSeq?: number;
  querySeq?: number;
  id: string;
  kind: "span" | "chunk" | "message" | "event" | "task" | "log";
  type: string;
  time: string;
  recordedAt?: string;
  duration?: number;
  sessionId?: string;
  namespace?: string;
  query?: string;
  queryUid?: string;
  conversationId?: string;
  agent?: string;
  model?: string;
  provider?: string;
  userId?: string;
  traceId?: string;
  spanId?: string;
  parentSpanId?: string;
  tool?: string;
  toolCallId?: string;
  mcpServer?: string;
  mcpSessionId?: string;
  taskId?: string;
  taskState?: string;
  questionId?: string;
  streamId?: string;
  status?: string;
  error?: string;
  phase?: Phase;
  inputTokens?: number;
  outputTokens?: number;
  cost?: number;
  costBy?: string;
  correlatedBy?: string;
  body: Json;
}

export interface EventPage {
  items: StoredEvent[];
  next: number;
  more: boolean;
  seq: number;
  log: string;
}

/** A span of `GET /v1/traces/{traceId}`, with those below it. */
export interface SpanNode {
  event: StoredEvent;
  selfTime?: number;
  children?: SpanNode[];
}

export interface Trace {
  traceId: string;
  sessions: string[];
  queries: string[];
  events: number;
  roots: SpanNode[];
  truncated?: boolean;
}

export type QuestionState = "open" | "answered" | "canceled" | "expired";

export interface Question {
  id: string;
  uri?: string;
  state: QuestionState;
  text?: string;
  /** What else the one who answers should know. */
  context?: string;
  /** JSON Schema of the answer. */
  schema?: Json;
  /** The answer is one of these. */
  options?: Json[];
  session?: string;
  query?: string;
  namespace?: string;
  traceId?: string;
  askedBy?: string;
  /** `api`, `mcp`, `elicitation`, `event`, `approval`, `a2a`. */
  source?: string;
  /** The query goes on only with the answer. */
  blocking?: boolean;
  /** The answer is handed over, and not stored. */
  secret?: boolean;
  deadline?: string;
  onDeadline?: "fail" | "default" | "escalate";
  escalatedAt?: string;
  askedAt?: string;
  endedAt?: string;
  answeredBy?: string;
  /** Why it was called off, or expired. */
  reason?: string;
  answer?: Json;
  /** False: it is answered where it was asked. */
  answerable?: boolean;
}

export interface QuestionPage {
  items: Question[];
  nextCursor?: string;
  seq?: number;
}

export interface ToolCallMessage {
  id?: string;
  type?: string;
  function: { name: string; arguments: string };
}

/** An OpenAI message. */
export interface Message {
  role: string;
  content?: Json;
  name?: string;
  tool_calls?: ToolCallMessage[];
  tool_call_id?: string;
  [other: string]: Json | ToolCallMessage[] | undefined;
}

export interface Conversation {
  id: string;
  messages: Message[];
  conversations: { id?: string; queries: string[]; messages: Message[] }[];
  truncated?: boolean;
}

export interface Me {
  name: string;
  permissions: ("ingest" | "read" | "answer" | "admin")[];
  namespaces: string[] | null;
  authentication: boolean;
}

/** The first frame of every stream. */
export interface Hello {
  log: string;
  from: number;
  head: number;
  recovered: boolean;
  reason?: string;
}

/** How long something took, in milliseconds. */
export interface Latency {
  count: number;
  average: number;
  p50: number;
  p95: number;
}

/** Figures of a length of time. What was not measured is absent. */
export interface Figures {
  sessions: { total: number } & Record<SessionStatus, number>;
  queries: { total: number } & Record<Exclude<Phase, "pending">, number>;
  modelCalls: number;
  modelErrors: number;
  toolCalls: number;
  tokens: { input: number; output: number };
  cost: number;
  /** Of queries, from start to end. */
  latency?: Latency;
  /** Of queries. */
  timeToFirstToken?: Latency;
  modelLatency?: Latency;
}

/** Figures of the bar that begins at `at`. */
export interface FiguresAt extends Figures {
  at: string;
}

/** Figures of an agent or a model: `name` is null where nobody named one; `others` stands for all further ones. */
export interface FiguresOf {
  name?: string | null;
  others?: true;
  total: Figures;
  /** Only those bars that have something in them. */
  points: FiguresAt[];
}

/** `GET /v1/overview`. */
export interface Overview {
  since: string;
  until: string;
  /** Length of a bar in seconds. */
  bucket: number;
  total: Figures;
  /** One for each bar. */
  points: FiguresAt[];
  agents: FiguresOf[];
  models: FiguresOf[];
}

/** `GET /v1/correlate`: what a key stands for. */
export interface Correlation {
  key: string;
  link: string;
  /** null: the key is known, and nobody has named its session yet. */
  session: string | null;
  query?: string | null;
  trace?: string | null;
  rule: string;
  namedBy?: string | null;
}

/** An upstream or a webhook, of `GET /v1/deliveries`. */
export interface Delivery {
  name: string;
  /** Where it leads. */
  to: string;
  position: number;
  /** Positions of the log that it has not looked at yet. */
  lag: number;
  delivered: number;
  rejected: number;
  dead: number;
  /** Those that are kept. */
  deadLetters: number;
  /** Tries since the last success. */
  failures: number;
  gaps: number;
  missed: number;
  lastError?: string;
  lastErrorAt?: string;
  lastSuccessAt?: string;
  /** While it fails: there is no try before. */
  pausedUntil?: string;
  /** The replica that answers has it. */
  here: boolean;
}

/** `GET /v1/deliveries/{name}/dead`. */
export interface DeadLetterPage {
  items: { seq: number; at: string; reason: string; event: StoredEvent }[];
  next: number;
  more: boolean;
}

/** What came of sending dead letters again. */
export interface Resent {
  delivered: number;
  dead: number;
  remaining: number;
  message?: string;
}
