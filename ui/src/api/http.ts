import type { Json } from "./types";

/** What the broker answered instead of what was asked for; status 0: it could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code?: string,
    readonly field?: string,
    readonly requestId?: string,
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** Right to repeat: the broker, or its database, is away. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/**
 * Fires `unknown` when the broker no longer knows who asks: a token was revoked, or a login has ended. Whatever was asked,
 * here or by a stream, the answer comes by `errorOf`.
 */
export const access = new EventTarget();
/** Their 401 is an answer to who asks. */
const ABOUT_LOGIN = /\/v1\/(login|logout|me)(\?|$)/;

type Parameters = Record<string, string | number | boolean | undefined>;

/** `/v1/sessions/a%2Fb`: each part of the path is a name that somebody else chose. */
export function path(template: readonly string[], parameters: Parameters = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return `/${template.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
}

/** The answer's JSON. Raises ApiError. */
export async function get<T>(url: string, signal?: AbortSignal): Promise<T> {
  return request<T>(url, signal === undefined ? {} : { signal });
}

/** Sends JSON; undefined where the answer has no body. Raises ApiError. */
export async function send<T>(method: "POST" | "DELETE", url: string, body?: Json): Promise<T> {
  if (body === undefined) return request<T>(url, { method });
  return request<T>(url, {
    method,
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" },
  });
}

async function request<T>(url: string, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "The broker cannot be reached.");
  }
  if (!response.ok) throw await errorOf(response);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

/** The error that a response tells of. */
export async function errorOf(response: Response): Promise<ApiError> {
  if (response.status === 401 && !ABOUT_LOGIN.test(response.url)) access.dispatchEvent(new Event("unknown"));
  const said = await response.json().catch(() => undefined);
  const error = (said as { error?: Partial<Record<string, string>> } | undefined)?.error;
  return new ApiError(
    response.status,
    error?.message ?? `The broker answered ${response.status}.`,
    error?.code,
    error?.field,
    error?.requestId,
  );
}
