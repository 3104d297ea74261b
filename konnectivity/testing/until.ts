/** Waits for a condition that nothing announces; polls every 5 ms. @throws when it does not hold in time */
export async function until(condition: () => boolean, what: string, timeoutMs = 8_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
