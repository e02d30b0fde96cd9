// What follows from what the relay did with an attempt; the same as attempts.py. Pure: times come in as arguments.
//
// The one rule behind all of it: deployed code never answers an attempt that an agent may have started (docs/live.md).
// An outcome is {ask: pause in ms}, {deployed: reason, rest: boolean} or {failed: {type, message}}.

/** How long after the relay was last heard a broken connection is still only *cut*, in ms. */
export const GRACE_MS = 8000;
/** A silence of the relay that is taken for a cut; it sends a BEAT each 2 s. */
export const SILENCE_MS = 6000;
/** How long a connection to the relay may take to come about. */
export const CONNECT_MS = 1000;
/** How long a relay that could not be reached is not asked again. */
export const REST_MS = 5000;
/** Most bytes of an event that goes with the first request. */
export const INLINE = 64 * 1024;
/** How long before Lambda ends the sandbox an attempt is answered with an error of our own. */
export const MARGIN_MS = 500;

/**
 * What is known of one attempt while it is under way. Times are milliseconds of the monotonic clock, but for `deadlineMs`,
 * when the handler must be done: since the epoch, the same each time it is asked.
 */
export class Attempt {
  constructor(name, size, now, ends) {
    Object.assign(this, { name, ends, heard: now, withEvent: size <= INLINE, withSandbox: false });
    Object.assign(this, { again: 0, breaks: 0, tokens: 0, deadlineMs: 0, session: '', sent: false });
  }

  /** Note that a request of this attempt goes out. */
  said(now) {
    if (!this.sent) Object.assign(this, { sent: true, heard: now });
  }

  /** Note that the relay said something about this attempt. */
  hears(now) {
    Object.assign(this, { heard: now, breaks: 0 });
  }

  /** What follows where nothing was sent: no connection, or no token. */
  refused(why, now) {
    return this.sent ? this.broken(why, now) : { deployed: why, rest: true };
  }

  /** What follows from a connection that broke after the request had gone out. */
  broken(why, now) {
    if (now - this.heard >= GRACE_MS) {
      const message = `The connection to ${why} was lost for more than ${GRACE_MS / 1000} s.`;
      return { failed: { type: 'Stagedoor.Disconnected', message } };
    }
    this.again += 1;
    this.breaks += 1;
    return { ask: this.breaks > 1 ? Math.min(50 * 2 ** (this.breaks - 1), 1000) : 0 };
  }

  /**
   * What follows from an answer that is not the stream of frames. A 429 or 503 with `Retry-After` is the relay's own
   * word, and it holds nothing of this attempt then; a 503 without is a load balancer's that reached no relay.
   */
  answered(status, retryAfter, now) {
    const routed = this.again > 0 || this.session !== '';
    if ((status === 429 || status === 503) && retryAfter) {
      this.hears(now);
      const seconds = Number(retryAfter);
      return { ask: Math.min(Number.isFinite(seconds) ? Math.max(seconds * 1000, 0) : 1000, REST_MS) };
    }
    if (status === 503 && !routed) return { deployed: 'no relay answers', rest: true };
    if ([403, 404, 413].includes(status) && !routed) {
      return { deployed: `the relay refuses this function's invocations (${status})`, rest: true };
    }
    return this.broken(`the relay (${status})`, now);
  }

  /** What follows from a 401: another token, which then has to do. */
  unauthorized(now) {
    this.tokens += 1;
    return this.tokens <= 2 ? { ask: 0 } : this.answered(403, '', now);
  }

  /** What follows from WANTED: the same request, with what was missed. */
  wanted(document) {
    this.withEvent ||= Boolean(document.event);
    this.withSandbox = Boolean(document.sandbox);
    return { ask: 0 };
  }
}
