/** Time worked: hidden pages and idle stretches do not count. All times are in ms of one steady clock. */

const IDLE_AFTER_MS = 15_000;

export class ActiveClock {
  #counted = 0;
  #taken = 0;
  #maskStart = 0;
  #last: number;
  #lastActivity: number;
  #hidden = false;

  constructor(now: number) {
    this.#last = now;
    this.#lastActivity = now;
  }

  /** The person did something. */
  touch(now: number): void {
    this.#advance(now);
    this.#lastActivity = now;
  }

  hide(hidden: boolean, now: number): void {
    this.#advance(now);
    this.#hidden = hidden;
    if (!hidden) this.#lastActivity = now;
  }

  /** Active seconds since the last call. */
  takeSeconds(now: number): number {
    this.#advance(now);
    const seconds = (this.#counted - this.#taken) / 1000;
    this.#taken = this.#counted;
    return Math.round(seconds * 1000) / 1000;
  }

  startMask(now: number): void {
    this.#advance(now);
    this.#maskStart = this.#counted;
  }

  maskSeconds(now: number): number {
    this.#advance(now);
    return (this.#counted - this.#maskStart) / 1000;
  }

  paused(now: number): boolean {
    return this.#hidden || now - this.#lastActivity > IDLE_AFTER_MS;
  }

  #advance(now: number): void {
    const until = Math.min(now, this.#lastActivity + IDLE_AFTER_MS);
    if (!this.#hidden && until > this.#last) this.#counted += until - this.#last;
    this.#last = Math.max(this.#last, now);
  }
}
