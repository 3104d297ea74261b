/** Milliseconds since the machine's boot: the same for all its processes, and no step of its clock changes it. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n)
}
