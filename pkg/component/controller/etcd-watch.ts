import { HandOver } from '#pkg/component/controller/etcd-hand-over.ts'
import { leads, MIN_SYNCS, slowDisk, syncsOf, type Syncs } from '#pkg/component/controller/etcd-health.ts'
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

interface WatchContext {
  readonly signal: AbortSignal
  readonly log: Logger
}

const LOOK_EVERY_MS = 10_000
/** Where others could lead: all of them wait for the disk of a leader. */
const LOOK_AT_DISK_EVERY_MS = 3_000
/** A disk that was slow so lately is not taken for a good one. */
const SLOW_STANDS_MS = 20_000
const ANSWER_MS = 2_000
/** Of a leader that is slow itself, and an election. */
const TAKE_OVER_MS = 5_000

/**
 * Looks for what makes a member of etcd sick before it stops serving, or while it does not: its disk, and its links. One that leads
 * with a slow disk lets another one lead.
 */
export class EtcdWatch {
  readonly #options: EtcdWatchOptions
  readonly #warnings = new Warnings()
  readonly #handOver = new HandOver({ moveLeader: (id) => this.#moveLeader(id) })
  /** The members as they were known last. */
  members: readonly EtcdMember[] = []
  #last: Syncs | undefined
  #slowAtMs = -Infinity

  constructor(options: EtcdWatchOptions) {
    this.#options = options
  }

  get warnings(): readonly string[] {
    return this.#warnings.list()
  }

  /** Until `signal` aborts. */
  async run(context: WatchContext): Promise<void> {
    this.#warnings.clear()
    await Promise.all([this.#watchDisk(context), this.#watchLinks(context)])
  }

  /** Why etcd does not serve: a member without a leader mostly lacks links, so it says which. */
  async explain(err: unknown, signal: AbortSignal): Promise<unknown> {
    if (!errorMessage(err).includes('NO LEADER')) return err
    const silent = await this.#silentMembers(signal).catch(() => undefined)
    if (silent === undefined) return err // there was no time to ask
    const why = silent.length === 0 ? 'an election is under way' : `it does not reach ${silent.join(', ')}`
    return new ProbeError(`etcd has no leader: ${why}`, { cause: err })
  }

  async #watchLinks({ signal, log }: WatchContext): Promise<void> {
    for (let before: readonly string[] = []; ;) {
      await sleep(LOOK_EVERY_MS, { signal })
      const silent = await this.#silentMembers(signal)
      for (const name of new Set([...before, ...silent])) {
        this.#warnings.set(`member ${name}`, silent.includes(name) ? `it does not reach ${name}` : undefined, log)
      }
      before = silent
    }
  }

  async #watchDisk({ signal, log }: WatchContext): Promise<void> {
    for (;;) {
      await sleep(this.members.length > 1 ? LOOK_AT_DISK_EVERY_MS : LOOK_EVERY_MS, { signal })
      const metrics = await this.#metrics(signal)
      const syncs = metrics === undefined ? undefined : syncsOf(metrics)
      if (metrics === undefined || syncs === undefined) continue
      const isSlow = this.#judgeDisk(syncs, log)
      if (isSlow && leads(metrics)) await this.#handOver.to((await this.#otherMembers(signal)).answering, log)
    }
  }

  /** Whether the writes since the last look were slow. */
  #judgeDisk(syncs: Syncs, log: Logger): boolean {
    // They count from the beginning after a start of etcd.
    if (this.#last === undefined || syncs.count < this.#last.count) this.#last = syncs
    if (syncs.count - this.#last.count < MIN_SYNCS) return false // the next look counts these, too
    const slow = slowDisk(this.#last, syncs)
    this.#last = syncs
    if (slow !== undefined) this.#slowAtMs = performance.now()
    const stands = performance.now() - this.#slowAtMs < SLOW_STANDS_MS
    if (slow !== undefined || !stands) this.#warnings.set('disk', slow, log)
    return slow !== undefined
  }

  async #moveLeader(id: string): Promise<void> {
    const { clientUrl, tls } = this.#options
    const { EtcdClient } = await import('#pkg/etcd/client.ts')
    await using client = new EtcdClient({ endpoints: [clientUrl], tls: tls(), requestTimeoutMs: TAKE_OVER_MS })
    await client.moveLeader(id)
  }

  /** Names of the other members that do not answer at their peer ports. @throws the reason of `signal` */
  async #silentMembers(signal: AbortSignal): Promise<readonly string[]> {
    const { silent } = await this.#otherMembers(signal)
    return silent.length === 0 ? [] : await this.#stillMembers(silent, signal)
  }

  /** The other members, by whether they answer at their peer ports; of those that do not the URLs. @throws the reason of `signal` */
  async #otherMembers(
    signal: AbortSignal,
  ): Promise<{ readonly answering: readonly EtcdMember[]; readonly silent: readonly string[] }> {
    const { peerUrl, tls } = this.#options
    const others = this.members.filter(({ peerUrls }) => !peerUrls.includes(peerUrl))
    const answers = await Promise.all(
      others.map(async ({ peerUrls: [url = ''] }) => {
        try {
          await withDeadline(signal, ANSWER_MS, (deadline) => assertPeerAnswers(url, { tls: tls(), signal: deadline }))
          return true
        } catch {
          signal.throwIfAborted()
          return false
        }
      }),
    )
    return {
      answering: others.filter((_, i) => answers[i]),
      silent: others.filter((_, i) => !answers[i]).map(({ peerUrls: [url = ''] }) => url),
    }
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
  async #metrics(signal: AbortSignal): Promise<string | undefined> {
    const { clientUrl, tls } = this.#options
    const { caPem: ca, certPem: cert, keyPem: key } = tls()
    const url = `${clientUrl}/metrics`
    try {
      return await withDeadline(signal, ANSWER_MS, (deadline) => probeHttp(url, { signal: deadline, ca, cert, key }))
    } catch {
      signal.throwIfAborted()
      return undefined
    }
  }
}
