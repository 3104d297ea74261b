// The default import matters: node:test's mock.timers replaces the property, not an already bound named import.
import timers from 'node:timers/promises'

/** Resolves after `ms` milliseconds; rejects with the abort error if `signal` aborts first. */
export async function sleep(ms: number, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
  await timers.setTimeout(ms, undefined, options)
}
