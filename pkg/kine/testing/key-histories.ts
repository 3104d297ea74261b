import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import type { Message } from '#pkg/kine/testing/etcd-messages.ts'
import type { Operation } from '#pkg/kine/testing/linearizability.ts'
import type { Random } from '#pkg/kine/testing/random.ts'
import type { RegisterInput, RegisterOutput } from '#pkg/kine/testing/register.ts'
import { del, get, modIs, put } from '#pkg/kine/testing/requests.ts'

/** What happened to one key. */
export type KeyHistory = Operation<RegisterInput, RegisterOutput>[]

/** Some calls are given so little time that their answer is often lost. */
const HASTY_DEADLINE_MS = 4
const DEADLINE_MS = 10_000

/** Makes random calls on a few keys and writes down what each client asked, when, and what it was told. */
export class KeyHistories {
  readonly #histories: ReadonlyMap<string, KeyHistory>
  readonly #keys: readonly string[]
  #values = 0

  constructor(keys: readonly string[]) {
    this.#keys = keys
    this.#histories = new Map(keys.map((key) => [key, []]))
  }

  /**
   * By key. Without lost writes whose value nobody has seen: as every answer tells the value, they would have to be
   * overwritten unseen, and explain nothing; but each would double what a check has to try.
   */
  get all(): ReadonlyMap<string, KeyHistory> {
    return new Map([...this.#histories].map(([key, history]) => [key, withoutUnseen(history)]))
  }

  /** One call on one key; false if it failed, which leaves open whether it was done. */
  async call(etcd: EtcdClient, client: number, random: Random): Promise<boolean> {
    const key = random.pick(this.#keys)
    const history = this.#histories.get(key) ?? []
    const input = this.#choose(history, random)
    const calledAt = performance.now()
    const output = await perform(etcd, key, input, random.oneIn(25) ? HASTY_DEADLINE_MS : DEADLINE_MS).catch(
      () => undefined,
    )
    // A read that failed says nothing.
    if (output === undefined && input.type === 'read') return false
    history.push({ client, input, output, calledAt, returnedAt: performance.now() })
    return output !== undefined
  }

  #choose(history: KeyHistory, random: Random): RegisterInput {
    const dice = random.below(10)
    if (dice < 3) return { type: 'read' }
    const value = random.oneIn(5) ? undefined : `v${(this.#values += 1)}`
    if (dice < 4 && value !== undefined) return { type: 'write', value }
    // Mostly on what was told last, so that some of those that race win.
    const told = history.findLast(({ output }) => output?.succeeded)?.output?.revision ?? 0
    return { type: 'swap', expected: random.oneIn(8) ? Math.max(0, told - 1) : told, value }
  }
}

function withoutUnseen(history: KeyHistory): KeyHistory {
  const seen = new Set(history.flatMap(({ output }) => output?.value ?? []))
  return history.filter(({ input, output }) => {
    return output !== undefined || input.type === 'read' || input.value === undefined || seen.has(input.value)
  })
}

async function perform(
  etcd: EtcdClient,
  key: string,
  input: RegisterInput,
  deadlineMs: number,
): Promise<RegisterOutput> {
  switch (input.type) {
    case 'read':
      return readOutput(await etcd.call('KV/Range', { key: Buffer.from(key) }, { deadlineMs }))
    case 'write':
    case 'swap': {
      const { value } = input
      const compare = input.type === 'swap' ? [modIs(key, input.expected)] : []
      const success = [value === undefined ? del(key) : put(key, value), get(key)]
      const failure = [get(key)]
      const { succeeded, responses } = await etcd.call('KV/Txn', { compare, success, failure }, { deadlineMs })
      const after = responses.at(-1)?.response_range
      if (after === undefined) throw new Error('no answer to the read of a transaction')
      return { ...readOutput(after), succeeded }
    }
  }
}

function readOutput({ kvs }: Message): RegisterOutput {
  const [kv] = kvs
  return { succeeded: true, revision: kv?.mod_revision ?? 0, value: kv?.value.toString() }
}
