/**
 * Waits for a condition that nothing announces; polls every 2 ms.
 *
 * @throws when it does not hold within `timeoutMs`, default 8 s: about liveness, never a figure
 */
export async function until(condition: () => boolean, what = 'the condition', timeoutMs = 8_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
