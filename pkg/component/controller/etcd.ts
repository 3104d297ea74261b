import { Background } from '#pkg/component/cluster/background.ts'
import type { Component, StartContext } from '#pkg/component/component.ts'
import type { PkiSource } from '#pkg/component/controller/certificates.ts'
import type { ControllerDeps, ControllerOptions } from '#pkg/component/controller/context.ts'
import { etcdPeerUrl } from '#pkg/component/controller/etcd-args.ts'
import { defragmentWhenDue } from '#pkg/component/controller/etcd-defragment.ts'
import { EtcdWatch } from '#pkg/component/controller/etcd-watch.ts'
import { etcdStart, rememberedMembers, rememberMembers } from '#pkg/component/controller/etcd-peers.ts'
import { etcdProcess, etcdTls, STOP_GRACE_MS } from '#pkg/component/controller/etcd-process.ts'
import { promoteSelf } from '#pkg/component/controller/etcd-promotion.ts'
import { hasEtcdLog, readJoinState, writeJoinState } from '#pkg/component/controller/join-state.ts'
import type { ProcessComponent } from '#pkg/component/process-component.ts'
import { errorMessage, K0sError } from '#pkg/errors/error.ts'
import { etcdClientUrl } from '#pkg/etcd/addresses.ts'
import { fetchMembersFromAny } from '#pkg/etcd/any-member.ts'
import { fetchMembers, type EtcdTls } from '#pkg/etcd/peer.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** Collaborators of the store. */
export interface EtcdDeps extends ControllerDeps {
  readonly pki: PkiSource
  /** Called once when the others have removed this member. */
  readonly onRemoved: () => void
}

/** This controller is no member of its cluster any more. */
export class EtcdRemovedError extends K0sError {
  override readonly code = 'ERR_ETCD_REMOVED'

  constructor() {
    super('this controller has been removed from the members of etcd; "k0s reset" makes it a host that can join again')
  }
}

/** How often a member that thinks itself alone looks whether it still is. */
const LOOK_EVERY_MS = 3_000
/** How often one of several notes who the others are. */
const REMEMBER_EVERY_MS = 60_000
const ASK_TIMEOUT_MS = 3_000
/** For one that is started again at once. */
const RESTART_GRACE_MS = 100

/**
 * The store. Clients come over loopback with a certificate, members over `peerAddress`. Ready means that it votes: a member that
 * joins serves nobody before.
 *
 * INVARIANT: `#process` is started and stopped by start(), stop() and `#restart` only, and the last runs in `#background`,
 * which stop() ends first.
 */
export class Etcd implements Component {
  readonly name = 'etcd'
  readonly after = ['certificates']
  readonly #options: ControllerOptions
  readonly #deps: EtcdDeps
  readonly #process: ProcessComponent
  readonly #background = new Background()
  readonly #watch: EtcdWatch
  #isRemoved = false
  #stopGraceMs = STOP_GRACE_MS
  /** Why this member does not vote yet; undefined once it does. */
  #notVoting: string | undefined

  constructor(options: ControllerOptions, deps: EtcdDeps) {
    this.#options = options
    this.#deps = deps
    this.#process = etcdProcess(options, deps, () => this.#stopGraceMs)
    this.#watch = new EtcdWatch({ ...this.#client, peerUrl: etcdPeerUrl(options) })
  }

  /** What is wrong with its disk or its links. */
  get warnings(): readonly string[] {
    return this.#watch.warnings
  }

  get restarts(): number {
    return this.#process.restarts
  }

  async start(context: StartContext): Promise<void> {
    const { vars } = this.#options
    const state = await readJoinState(vars)
    const joining = state?.step === 'member'
    this.#notVoting = joining ? 'this member is a learner; it has not been promoted yet' : undefined
    await this.#process.start(context)
    this.#background.begin(async (signal) => {
      if (joining) {
        await this.#vote(state.initialCluster ?? [], { ...context, signal })
        await writeJoinState(vars, { ...state, step: 'joined' })
      }
      const { log } = context
      await Promise.all([
        this.#followMembers({ ...context, signal }),
        defragmentWhenDue(this.#client, { signal, log }),
        this.#watch.run({ signal, log }),
      ])
    })
  }

  /** Whether the others have removed this member: etcd ends then, and cannot be started again. */
  get isRemoved(): boolean {
    return this.#isRemoved
  }

  async ready(signal: AbortSignal): Promise<void> {
    try {
      await this.#process.ready(signal)
    } catch (err) {
      if (this.#process.restarts > 0) await this.#lookForRemoval(signal)
      throw this.#isRemoved ? new EtcdRemovedError() : await this.#watch.explain(err, signal)
    }
    if (this.#notVoting !== undefined) throw new Error(this.#notVoting)
  }

  async stop(): Promise<void> {
    await this.#background.stop()
    await this.#process.stop()
  }

  /** Until this member votes. */
  async #vote(initialCluster: readonly string[], { signal, log }: StartContext): Promise<void> {
    const own = { peerUrl: etcdPeerUrl(this.#options), tls: this.#tls(), initialCluster }
    await promoteSelf(own, {
      signal,
      log,
      onWaiting: (reason) => (this.#notVoting = reason),
      restart: () => this.#restart({ signal, log }),
    })
    this.#notVoting = undefined
    log.info('this member of etcd votes')
  }

  /** Keeps what is known of the members, and starts etcd anew with the timing for several once it is not alone. */
  async #followMembers(context: StartContext): Promise<void> {
    const { signal, log } = context
    const { vars } = this.#options
    const peerUrl = etcdPeerUrl(this.#options)
    let { alone } = await etcdStart(vars)
    let hasCompany = false
    for (;;) {
      try {
        if (hasCompany) {
          log.info('etcd starts again, with the timing for several members')
          await this.#restart(context)
          alone = false
          hasCompany = false
        }
        const members = await withDeadline(signal, ASK_TIMEOUT_MS, (deadline) =>
          fetchMembers(peerUrl, { tls: this.#tls(), signal: deadline }),
        )
        this.#watch.members = members
        await rememberMembers(vars, members)
        hasCompany = alone && members.length > 1
        if (hasCompany) continue
      } catch (err) {
        signal.throwIfAborted()
        const message = hasCompany ? 'etcd cannot be started again' : 'members of etcd not known yet'
        log[hasCompany ? 'error' : 'debug'](message, { err: errorMessage(err) })
      }
      await sleep(alone ? LOOK_EVERY_MS : REMEMBER_EVERY_MS, { signal })
    }
  }

  /** Asks the others, since etcd itself has ended then. */
  async #lookForRemoval(signal: AbortSignal): Promise<void> {
    const own = etcdPeerUrl(this.#options)
    const urls = (await rememberedMembers(this.#options.vars)).flatMap(({ peerUrls }) => peerUrls)
    if (this.#isRemoved || !(await hasEtcdLog(this.#options.vars))) return
    const others = urls.filter((other) => other !== own)
    const members = await fetchMembersFromAny(others, { tls: this.#tls(), signal }).catch(() => undefined)
    if (members === undefined) return
    this.#isRemoved = !members.some(({ peerUrls }) => peerUrls.includes(own))
    if (this.#isRemoved) this.#deps.onRemoved()
  }

  /**
   * At once: when etcd is asked to end it refuses every request for the 5 s or more that it waits for the API server's watches, while
   * what it has acknowledged is in its log anyway.
   */
  async #restart(context: StartContext): Promise<void> {
    this.#stopGraceMs = RESTART_GRACE_MS
    try {
      await this.#process.stop()
    } finally {
      this.#stopGraceMs = STOP_GRACE_MS
    }
    await this.#process.start(context)
  }

  get #client(): { readonly clientUrl: string; readonly tls: () => EtcdTls } {
    return { clientUrl: etcdClientUrl, tls: () => this.#tls() }
  }

  #tls(): EtcdTls {
    return etcdTls(this.#deps.pki.material())
  }
}
