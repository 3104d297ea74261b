import type { Alarms } from '#pkg/kine/alarm/alarms.ts'
import { Applier } from '#pkg/kine/apply.ts'
import type { KeyVersion } from '#pkg/kine/backend.ts'
import { Compactor } from '#pkg/kine/compact/compactor.ts'
import type { SharedLog, StoredState } from '#pkg/kine/dialect/dialect.ts'
import { Follower } from '#pkg/kine/follow/follower.ts'
import { Serial } from '#pkg/kine/follow/serial.ts'
import { Tail } from '#pkg/kine/follow/tail.ts'
import type { KeyIndex } from '#pkg/kine/index/key-index.ts'
import { LEASE_CHECKPOINT_MS, LeaseCheckpointer } from '#pkg/kine/lease/checkpointer.ts'
import { LeaseExpirer } from '#pkg/kine/lease/expirer.ts'
import { Leases } from '#pkg/kine/lease/leases.ts'
import type { Lessor } from '#pkg/kine/lease/lessor.ts'
import { loadShared } from '#pkg/kine/load.ts'
import type { Loaded } from '#pkg/kine/load.ts'
import { KeyValues } from '#pkg/kine/read/key-values.ts'
import { Pins } from '#pkg/kine/read/pins.ts'
import { Reads } from '#pkg/kine/read/reads.ts'
import type { Ring } from '#pkg/kine/ring/ring.ts'
import type { StoreDeps, StoreOptions } from '#pkg/kine/store-options.ts'
import { WatchHub } from '#pkg/kine/watch/hub.ts'
import { Writer } from '#pkg/kine/writer/writer.ts'

/** Default of `compactionGraceMs`. */
const SHARED_GRACE_MS = 10_000
/** Every instance expires leases; whoever happens to be late by less than this finds it done. */
const SHARED_SPREAD_MS = 300

/** What a store consists of. */
export interface StoreParts {
  readonly index: KeyIndex
  readonly ring: Ring
  readonly lessor: Lessor
  readonly alarms: Alarms
  readonly applier: Applier
  readonly hub: WatchHub
  readonly keyValues: KeyValues
  readonly reads: Reads
  readonly writer: Writer
  readonly leases: Leases
  readonly compactor: Compactor
  readonly expirer: LeaseExpirer
  /** Of a shared database only. */
  readonly follower: Follower | undefined
  readonly checkpointer: LeaseCheckpointer | undefined
}

/** Connects the parts over what was loaded, and sets going what runs by itself. */
export function wireStore(options: StoreOptions, deps: StoreDeps, state: StoredState, loaded: Loaded): StoreParts {
  const { dialect, log } = deps
  const { index, lessor, alarms, ring } = loaded
  const { shared } = dialect
  const keyValues = new KeyValues({ maxCacheBytes: options.cacheBytes }, { ring, dialect })
  const applier: Applier = new Applier(
    {
      index,
      ring,
      lessor,
      alarms,
      publish: (events) => hub.publish(events),
      onLeases: () => expirer.wake(),
      onCompaction: (revision) => compactor.wake(revision),
    },
    loaded.head,
  )
  const hub: WatchHub = new WatchHub(options, {
    ring,
    keyValues,
    dialect,
    revision: () => applier.revision,
    compactRevision: () => applier.compactRevision,
    log,
  })
  const serial = new Serial()
  const pins = new Pins()
  const previousWanted = (version: KeyVersion): boolean => hub.previousWanted(version)
  const common = { dialect, index, lessor, applier, keyValues, previousWanted }
  const follower: Follower | undefined =
    shared &&
    new Follower({
      shared,
      applier,
      serial,
      tail: new Tail({ ...common, shared }),
      reload: (sameHistory) => reload(parts, shared, { options, deps, sameHistory }),
      onReturn: (awayMs) => {
        lessor.prolong(awayMs)
        expirer.wake()
      },
      log,
    })
  const writer = new Writer({
    ...common,
    alarms,
    pins,
    serial,
    follower,
    onCommit: (durationMs) => deps.onCommit?.(durationMs),
    onFailure: deps.onFailure,
  })
  const reads = new Reads({ ...common, pins, linearize: async () => follower?.linearize() })
  const leases = new Leases({ writer, lessor })
  const compaction = {
    pruned: state.prunedRevision,
    graceMs: shared === undefined ? 0 : (options.compactionGraceMs ?? SHARED_GRACE_MS),
  }
  const compactor = new Compactor(compaction, { dialect, index, pins, log })
  const expirer = new LeaseExpirer(
    { spreadMs: shared === undefined ? 0 : SHARED_SPREAD_MS },
    { lessor, revoke: (id) => leases.expire(id), log },
  )
  const checkpointer =
    shared &&
    new LeaseCheckpointer(
      { intervalMs: options.leaseCheckpointMs ?? LEASE_CHECKPOINT_MS },
      { lessor, checkpoint: (ids, ageMs) => leases.checkpoint(ids, ageMs), log },
    )
  const stored = { index, ring, lessor, alarms, applier, hub, keyValues }
  const parts = { ...stored, reads, writer, leases, compactor, expirer, follower, checkpointer }
  compactor.wake(loaded.head.compactRevision)
  expirer.wake()
  follower?.start()
  return parts
}

interface Reload {
  readonly options: StoreOptions
  readonly deps: StoreDeps
  readonly sameHistory: boolean
}

/** Puts what the database holds in the place of what is in memory, in one turn of the event loop. */
async function reload(parts: StoreParts, shared: SharedLog, { options, deps, sameHistory }: Reload): Promise<void> {
  const loaded = await loadShared(deps.dialect, shared, options.ringBytes)
  const { applier, hub, compactor } = parts
  const { head: before } = applier
  parts.index.adopt(loaded.index)
  parts.lessor.adopt(loaded.lessor)
  parts.alarms.replace(loaded.alarms.list())
  parts.ring.adopt(loaded.ring)
  parts.keyValues.clear()
  applier.reset(loaded.head)
  if (sameHistory) hub.skipped(before.revision + 1)
  else {
    hub.endAll()
    compactor.restart(loaded.head.compactRevision)
  }
  compactor.wake(loaded.head.compactRevision)
  parts.expirer.wake()
}
