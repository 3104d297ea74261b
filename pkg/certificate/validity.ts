/** From when to when something is valid. */
export interface Validity {
  readonly notBefore: Date
  readonly notAfter: Date
}

/** Certificates begin this much in the past, so that a host whose clock is a little behind accepts them. */
export const backdateMs = 5 * 60_000

/** Validity that starts now (backdated) and lasts `validForMs` milliseconds from `now`. */
export function validityFrom(now: Date, validForMs: number): Validity {
  // X.509 counts whole seconds.
  const second = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000)
  return { notBefore: second(now.getTime() - backdateMs), notAfter: second(now.getTime() + validForMs) }
}

/** When to replace a certificate: after two thirds of its life, as the kubelet does at the latest. */
export function renewAt({ notBefore, notAfter }: Validity): Date {
  return new Date(notBefore.getTime() + ((notAfter.getTime() - notBefore.getTime()) * 2) / 3)
}
