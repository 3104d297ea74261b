import { MIN_SYNCS, slowDisk, syncsOf, type Syncs } from '#pkg/component/controller/etcd-health.ts'
import { Warnings } from '#pkg/component/controller/warnings.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import type { EtcdMember } from '#pkg/etcd/member.ts'
import { assertPeerAnswers, fetchMembers, type EtcdTls } from '#pkg/etcd/peer.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { ProbeError, probeHttp } from '#pkg/net/probe.ts'

/** Where the member of this host is asked. */
export interface EtcdWatchOptions {
  readonly clientUrl: string
  readonly peerUrl: string
  readonly tls: () => EtcdTls
}

const LOOK_EVERY_MS = 10_000
const ANSWER_MS = 2_000

/** Looks for what makes a member of etcd sick before it stops serving, or while it does not: its disk, and its links. */
export class EtcdWatch {
  readonly #options: EtcdWatchOptions
  readonly #warnings = new Warnings()
  /** The members as they were known last. */
  members: readonly EtcdMember[] = []
  #last: Syncs | undefined

  constructor(options: EtcdWatchOptions) {
    this.#options = options
  }

  get warnings(): readonly string[] {
    return this.#warnings.list()
  }

  /** Looks every 10 s until `signal` aborts. */
  async run({ signal, log }: { readonly signal: AbortSignal; readonly log: Logger }): Promise<void> {
    this.#warnings.clear()
    for (;;) {
      await sleep(LOOK_EVERY_MS, { signal })
      const [syncs, silent] = await Promise.all([this.#syncs(signal), this.#silentMembers(signal)])
      if (syncs !== undefined) this.#judgeDisk(syncs, log)
      this.#warnings.set('members', silent.length === 0 ? undefined : `it does not reach ${silent.join(', ')}`, log)
    }
  }

  /** Why etcd does not serve: a member without a leader mostly lacks links, so it says which. */
  async explain(err: unknown, signal: AbortSignal): Promise<unknown> {
    if (!errorMessage(err).includes('NO LEADER')) return err
    const silent = await this.#silentMembers(signal).catch(() => undefined)
    if (silent === undefined) return err // there was no time to ask
    const why = silent.length === 0 ? 'an election is under way' : `it does not reach ${silent.join(', ')}`
    return new ProbeError(`etcd has no leader: ${why}`, { cause: err })
  }

  #judgeDisk(syncs: Syncs, log: Logger): void {
    // They count from the beginning after a start of etcd.
    if (this.#last === undefined || syncs.count < this.#last.count) this.#last = syncs
    if (syncs.count - this.#last.count < MIN_SYNCS) return // the next look counts these, too
    this.#warnings.set('disk', slowDisk(this.#last, syncs), log)
    this.#last = syncs
  }

  /** Names of the other members that do not answer at their peer ports. @throws the reason of `signal` */
  async #silentMembers(signal: AbortSignal): Promise<readonly string[]> {
    const { peerUrl, tls } = this.#options
    const others = this.members.filter(({ peerUrls }) => !peerUrls.includes(peerUrl))
    const answers = await Promise.all(
      others.map(async ({ peerUrls: [url = ''] }) => {
        try {
          await withDeadline(signal, ANSWER_MS, (deadline) => assertPeerAnswers(url, { tls: tls(), signal: deadline }))
          return []
        } catch {
          signal.throwIfAborted()
          return [url]
        }
      }),
    )
    const silent = answers.flat()
    return silent.length === 0 ? [] : await this.#stillMembers(silent, signal)
  }

  /** Those of `urls` that belong to members also now, by name: one that left is not missed. @throws the reason of `signal` */
  async #stillMembers(urls: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
    const { peerUrl, tls } = this.#options
    try {
      this.members = await withDeadline(signal, ANSWER_MS, (deadline) =>
        fetchMembers(peerUrl, { tls: tls(), signal: deadline }),
      )
    } catch {
      signal.throwIfAborted()
    }
    return this.members
      .filter(({ peerUrls }) => urls.includes(peerUrls[0] ?? ''))
      .map(({ name, peerUrls }) => (name === '' ? (peerUrls[0] ?? '') : name))
      .sort()
  }

  /** Undefined when etcd does not answer: whoever probes it says why. @throws the reason of `signal` */
  async #syncs(signal: AbortSignal): Promise<Syncs | undefined> {
    const { clientUrl, tls } = this.#options
    const { caPem: ca, certPem: cert, keyPem: key } = tls()
    const url = `${clientUrl}/metrics`
    try {
      return syncsOf(
        await withDeadline(signal, ANSWER_MS, (deadline) => probeHttp(url, { signal: deadline, ca, cert, key })),
      )
    } catch {
      signal.throwIfAborted()
      return undefined
    }
  }
}
