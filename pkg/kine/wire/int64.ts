import type { LeaseId } from '#pkg/kine/backend.ts'

/** An int64 from its signed upper and unsigned lower half, in its one form: a number if that is exact, else a bigint. */
export function int64(high: number, low: number): LeaseId {
  const value = high * 0x1_0000_0000 + low
  return Number.isSafeInteger(value) ? value : (BigInt(high) << 32n) | BigInt(low)
}

/** The int64 in its one form, from a bigint or from decimal text, as database drivers give it. */
export function canonicalInt64(value: bigint | string): LeaseId {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : BigInt(value)
}
