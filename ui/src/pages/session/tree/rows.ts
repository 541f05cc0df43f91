import type { Entry, Query, Session } from "../../../api/types";
import { moment } from "../../../format";

/** A query in the tree, or what belongs to none (`query` undefined, name ""). */
export interface Segment {
  name: string;
  query: Query | undefined;
  entries: readonly Entry[];
  isOpen: boolean;
  /** The row of its head. */
  start: number;
}

export type Row =
  | { kind: "head"; segment: Segment; key: string }
  | { kind: "entry"; segment: Segment; entry: Entry; place: number; key: string };

/** The rows of the tree, none of which is made before it is asked for: a change costs as much as there are queries. */
export class Rows {
  readonly count: number;

  constructor(readonly segments: readonly Segment[]) {
    const last = segments.at(-1);
    this.count = last === undefined ? 0 : last.start + sizeOf(last);
  }

  at(index: number): Row | undefined {
    const segment = this.#segmentAt(index);
    if (segment === undefined) return undefined;
    const key = keyIn(segment, index);
    if (index === segment.start) return { kind: "head", segment, key };
    const place = index - segment.start - 1;
    const entry = segment.entries[place];
    return entry === undefined ? undefined : { kind: "entry", segment, entry, place, key };
  }

  keyAt(index: number): string {
    const segment = this.#segmentAt(index);
    return segment === undefined ? `row:${index}` : keyIn(segment, index);
  }

  isHead(index: number): boolean {
    return this.#segmentAt(index)?.start === index;
  }

  segment(name: string): Segment | undefined {
    return this.segments.find((each) => each.name === name);
  }

  /** The row of an entry; of its query's head where the query is closed. -1 where there is none. */
  indexOf(name: string, seq: number): number {
    const segment = this.segment(name);
    if (segment === undefined) return -1;
    const place = segment.entries.findLastIndex((entry) => entry.seq === seq);
    if (place < 0) return -1;
    return segment.isOpen ? segment.start + 1 + place : segment.start;
  }

  /** The row with that key; `hint` is where it was. -1 where there is none. No key is made of a row that is passed by. */
  find(key: string, hint: number): number {
    if (hint >= 0 && hint < this.count && this.keyAt(hint) === key) return hint;
    if (key.startsWith(HEAD)) return this.segment(key.slice(HEAD.length))?.start ?? -1;
    const seq = key.startsWith(ENTRY) ? Number(key.slice(ENTRY.length)) : undefined;
    for (const segment of this.segments) {
      if (!segment.isOpen) continue;
      const place = segment.entries.findLastIndex((entry, index) =>
        seq === undefined
          ? entry.seq === undefined && keyIn(segment, segment.start + 1 + index) === key
          : entry.seq === seq,
      );
      if (place >= 0) return segment.start + 1 + place;
    }
    return -1;
  }

  #segmentAt(index: number): Segment | undefined {
    let low = 0;
    let high = this.segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.segments[middle]?.start ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    const found = this.segments[low];
    return found !== undefined && index >= found.start && index < found.start + sizeOf(found)
      ? found
      : undefined;
  }
}

/** The rows of a session, its queries in the order in which they began. */
export function rowsOf(session: Session, isOpen: (name: string) => boolean): Rows {
  const segments: Segment[] = [];
  let start = 0;
  const add = (name: string, query: Query | undefined, entries: readonly Entry[]) => {
    const segment = { name, query, entries, isOpen: isOpen(name), start };
    segments.push(segment);
    start += sizeOf(segment);
  };
  for (const [name, query] of orderedQueries(session)) add(name, query, query.events);
  if (session.events !== undefined && session.events.length > 0) add("", undefined, session.events);
  return new Rows(segments);
}

/** Members of an object that look like numbers stand first, whenever they began. */
export function orderedQueries(session: Session): [string, Query][] {
  const began = (query: Query) => moment(query.startedAt ?? query.events[0]?.ts) ?? Number.POSITIVE_INFINITY;
  return Object.entries(session.queries)
    .map(([name, query]) => ({ name, query, when: began(query) }))
    .sort((one, other) => (one.when === other.when ? 0 : one.when - other.when))
    .map(({ name, query }) => [name, query]);
}

const HEAD = "query:";
const ENTRY = "entry:";

export function headKey(name: string): string {
  return `${HEAD}${name}`;
}

export function entryKey(seq: number): string {
  return `${ENTRY}${seq}`;
}

function keyIn(segment: Segment, index: number): string {
  if (index === segment.start) return headKey(segment.name);
  const place = index - segment.start - 1;
  const seq = segment.entries[place]?.seq;
  return seq === undefined ? `place:${place}:${segment.name}` : entryKey(seq);
}

function sizeOf(segment: Segment): number {
  return 1 + (segment.isOpen ? segment.entries.length : 0);
}
