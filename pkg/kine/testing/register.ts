import type { Model } from '#pkg/kine/testing/linearizability.ts'

/** What a client asks of one key; values are unique, `undefined` is a key that does not exist. */
export type RegisterInput =
  | { readonly type: 'read' }
  | { readonly type: 'write'; readonly value: string | undefined }
  /** Writes `value` if the key is still as it was at `expected`, a mod revision; 0: it does not exist. */
  | { readonly type: 'swap'; readonly expected: number; readonly value: string | undefined }

/** What it gets: the revision is that of the change, or of the value read. */
export interface RegisterOutput {
  /** Of a swap: whether it was done. */
  readonly succeeded: boolean
  /** Mod revision after the operation, 0 if the key does not exist. */
  readonly revision: number
  /** Value after the operation; of a refused swap what stood in its way. */
  readonly value: string | undefined
}

/** One key. The revision is undefined after a change whose answer was lost. */
export interface RegisterState {
  readonly value: string | undefined
  readonly revision: number | undefined
}

/** A key of an etcd: reads, puts, deletions and compare-and-swaps on the mod revision, all of which tell revisions. */
export const REGISTER: Model<RegisterState, RegisterInput, RegisterOutput> = {
  initial: { value: undefined, revision: 0 },
  step(state, input, output) {
    switch (input.type) {
      case 'read':
        return output === undefined || sameAs(state, output) ? { state: known(state, output) } : undefined
      case 'write':
        return written(state, input.value, output)
      case 'swap':
        return swapped(state, input, output)
    }
  },
  identity: ({ value, revision }) => `${value ?? '-'} ${revision ?? '?'}`,
}

type Next = { readonly state: RegisterState } | undefined

function swapped(
  state: RegisterState,
  { expected, value }: { readonly expected: number; readonly value: string | undefined },
  output: RegisterOutput | undefined,
): Next {
  const exists = state.value !== undefined
  // With an unknown revision any may be right, unless existence decides.
  const mayMatch = expected === 0 ? !exists : exists && (state.revision ?? expected) === expected
  if (output === undefined) return mayMatch ? written(state, value, undefined) : { state }
  if (output.succeeded) return mayMatch ? written(state, value, output) : undefined
  return output.revision !== expected && sameAs(state, output) ? { state: known(state, output) } : undefined
}

function written(state: RegisterState, value: string | undefined, output: RegisterOutput | undefined): Next {
  const revision = value === undefined ? 0 : output?.revision
  // What was there is older than what replaces it.
  if (revision !== undefined && revision > 0 && (state.revision ?? 0) >= revision) return undefined
  return { state: { value, revision } }
}

function sameAs(state: RegisterState, { value, revision }: RegisterOutput): boolean {
  return state.value === value && (state.revision ?? revision) === revision
}

function known(state: RegisterState, output: RegisterOutput | undefined): RegisterState {
  return output === undefined ? state : { value: state.value, revision: output.revision }
}
