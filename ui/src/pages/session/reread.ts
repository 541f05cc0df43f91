/** When something is read again that has changed. Milliseconds throughout. */

/** From a change to its reading: more may come with it. */
export const SETTLE = 1_200;
/** Of the time, so much at most is spent on reading. */
const SHARE = 1 / 10;
/** However long a reading takes. */
export const LONGEST_PAUSE = 30_000;

/** Reads; resolves with false where a reading was joined that had begun before: it may not have what changed last. */
export type Read = () => Promise<boolean>;

/** Reads again after changes: never before the last reading has ended, and the less often, the longer one takes. */
export class Rereader {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isReading = false;
  /** Something changed while it was read. */
  #isBehind = false;
  #isStopped = false;
  #readyAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly read: Read) {}

  /** `isLast`: nothing is expected to come after it, so it is not to wait for long. */
  changed(isLast = false): void {
    if (isLast) this.#readyAt = Number.NEGATIVE_INFINITY;
    if (this.#isReading) this.#isBehind = true;
    else this.#schedule(isLast);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(isAnew: boolean): void {
    if (this.#isStopped || (this.#timer !== undefined && !isAnew)) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#run(), Math.max(SETTLE, this.#readyAt - Date.now()));
  }

  async #run(): Promise<void> {
    this.#timer = undefined;
    this.#isReading = true;
    this.#isBehind = false;
    const began = Date.now();
    try {
      if (!(await this.read())) this.#isBehind = true;
    } finally {
      const now = Date.now();
      this.#isReading = false;
      this.#readyAt = now + Math.min(LONGEST_PAUSE, (now - began) / SHARE);
      if (this.#isBehind) this.#schedule(false);
    }
  }
}
