import { AlarmAction, AlarmType, Etcd3, EtcdLockFailedError, type IOptions } from 'etcd3'
import { errorMessage } from '#pkg/errors/error.ts'
import { EtcdError, MembershipRefusedError } from '#pkg/etcd/errors.ts'
import type { EtcdMember } from '#pkg/etcd/member.ts'
import type { EtcdTls } from '#pkg/etcd/peer.ts'

/** Where etcd's clients connect. */
export interface EtcdClientOptions {
  /** Loopback URLs; TLS is used when `tls` is given. */
  readonly endpoints: readonly string[]
  readonly tls?: EtcdTls | undefined
  /** Longest time for one request, milliseconds. Default 5 000. */
  readonly requestTimeoutMs?: number
}

/** State of the member behind one endpoint. */
export interface EtcdStatus {
  /** Size of its file, and what of it is in use, bytes. */
  readonly sizeBytes: number
  readonly sizeInUseBytes: number
  readonly isLearner: boolean
  /** Its own id and the leader's, decimal. */
  readonly memberId: string
  readonly leaderId: string
}

/** The membership and maintenance of an etcd cluster, through the etcd3 package. Disposing closes the connections. */
export class EtcdClient implements AsyncDisposable {
  readonly #client: Etcd3

  constructor({ endpoints, tls, requestTimeoutMs = 5_000 }: EtcdClientOptions) {
    this.#client = new Etcd3({
      hosts: [...endpoints],
      ...(tls && {
        credentials: {
          rootCertificate: Buffer.from(tls.caPem),
          certChain: Buffer.from(tls.certPem),
          privateKey: Buffer.from(tls.keyPem),
        },
      }),
      // Node.js warns about an address in place of a name; the members' certificates have both.
      grpcOptions: { 'grpc.ssl_target_name_override': 'localhost' },
      dialTimeout: requestTimeoutMs,
      faultHandling: { global: once, host: () => once },
      defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + requestTimeoutMs }),
    })
  }

  /** All members, asked of the quorum. @throws EtcdError */
  async members(): Promise<readonly EtcdMember[]> {
    const { members } = await failing('list the members of etcd', () =>
      this.#client.cluster.memberList({ linearizable: true }),
    )
    return members.map(memberOf)
  }

  /** Adds a member that does not vote yet. @throws EtcdError with etcd's reason */
  async addLearner(peerUrl: string): Promise<EtcdMember> {
    const { member } = await failing(`add ${peerUrl} to etcd`, () =>
      this.#client.cluster.memberAdd({ peerURLs: [peerUrl], isLearner: true }),
    )
    return memberOf(member)
  }

  /** Removes a member. @throws EtcdError, for example when the quorum would be lost */
  async remove(id: string): Promise<void> {
    await failing('remove a member from etcd', () => this.#client.cluster.memberRemove({ ID: id }))
  }

  /** Active alarms, for example `NOSPACE`. @throws EtcdError */
  async alarms(): Promise<readonly string[]> {
    const { alarms } = await failing('ask etcd for alarms', () =>
      this.#client.maintenance.alarm({ action: AlarmAction.Get, memberID: 0, alarm: AlarmType.None }),
    )
    return alarms.map(({ alarm }) => alarm)
  }

  /** A read that the quorum confirms. @throws EtcdError when there is none */
  async assertQuorum(): Promise<void> {
    await failing('reach the quorum of etcd', () => this.#client.get('k0s').string())
  }

  /** @throws EtcdError */
  async status(): Promise<EtcdStatus> {
    const { dbSize, dbSizeInUse, isLearner, header, leader } = await failing('ask etcd for its status', () =>
      this.#client.maintenance.status(),
    )
    return {
      sizeBytes: Number(dbSize),
      sizeInUseBytes: Number(dbSizeInUse),
      isLearner,
      memberId: header.member_id,
      leaderId: leader,
    }
  }

  /** Makes another voting member lead; only the leader can be asked. @throws EtcdError when that one does not take over in time */
  async moveLeader(id: string): Promise<void> {
    await failing('let another member of etcd lead', () => this.#client.maintenance.moveLeader({ targetID: id }))
  }

  /** Gives the space of removed data back to the disk; the member does not serve meanwhile. @throws EtcdError */
  async defragment(): Promise<void> {
    await failing('defragment etcd', () =>
      this.#client.maintenance.defragment({ deadline: Date.now() + DEFRAGMENT_TIMEOUT_MS }),
    )
  }

  /** Puts a key that disappears by itself after `ttlSeconds`. @throws EtcdError */
  async putFor(key: string, value: string, ttlSeconds: number): Promise<void> {
    await failing(`write ${key} to etcd`, async () => {
      const { ID } = await this.#client.leaseClient.leaseGrant({ TTL: ttlSeconds, ID: 0 })
      await this.#client.put(key).value(value).lease(ID)
    })
  }

  /** The value of a key. @throws EtcdError */
  async get(key: string): Promise<string | undefined> {
    return (await failing(`read ${key} from etcd`, () => this.#client.get(key).string())) ?? undefined
  }

  /**
   * Runs `fn` while holding a lock in the store, which is free again `ttlSeconds` after its holder died.
   *
   * @throws MembershipRefusedError with `busy` when another one holds it; what `fn` throws.
   */
  async locked<T>(
    key: string,
    { ttlSeconds, busy }: { readonly ttlSeconds: number; readonly busy: string },
    fn: () => Promise<T>,
  ): Promise<T> {
    const lock = this.#client.lock(key).ttl(ttlSeconds)
    try {
      await lock.acquire()
    } catch (cause) {
      if (cause instanceof EtcdLockFailedError) throw new MembershipRefusedError(busy, { cause })
      throw new EtcdError(`cannot take the lock ${key} in etcd: ${errorMessage(cause)}`, { cause })
    }
    try {
      return await fn()
    } finally {
      // It expires anyway.
      await lock.release().catch(() => undefined)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#client.close()
    return Promise.resolve()
  }
}

/**
 * Each request is sent once and its own error is reported: etcd3's default repeats what fails three times, a change of
 * members too, and then refuses everything for a while.
 */
const once = {
  execute: async (fn: (context: { readonly signal: AbortSignal }) => unknown): Promise<unknown> =>
    await fn({ signal: new AbortController().signal }),
} as unknown as Policy

type Policy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>

/** A file of some gigabytes is copied. */
const DEFRAGMENT_TIMEOUT_MS = 5 * 60_000

async function failing<T>(what: string, fn: () => PromiseLike<T>): Promise<T> {
  try {
    return await fn()
  } catch (cause) {
    throw new EtcdError(`cannot ${what}: ${errorMessage(cause)}`, { cause })
  }
}

function memberOf(member: {
  readonly ID: string
  readonly name: string
  readonly peerURLs: readonly string[]
  readonly isLearner: boolean
}): EtcdMember {
  return { id: member.ID, name: member.name, peerUrls: member.peerURLs, isLearner: member.isLearner }
}
