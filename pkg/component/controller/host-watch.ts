import { readFile, statfs } from 'node:fs/promises'
import { Background } from '#pkg/component/cluster/background.ts'
import type { Component, StartContext } from '#pkg/component/component.ts'
import {
  clockStep,
  littleSpace,
  lostPackets,
  segmentsOf,
  type NetFiles,
  type Segments,
} from '#pkg/component/controller/host-readings.ts'
import { Warnings } from '#pkg/component/controller/warnings.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

const LOOK_EVERY_MS = 10_000
/** A loss is judged over so many looks: a short one is no news. */
const LOSS_LOOKS = 3
/** A step of the clock is over at once, and explains what happens for a while: certificates, expired tokens, logs. */
const STEP_STANDS_MS = 10 * 60_000

/** Warns of what makes a controller sick and is no component's own: a full disk, a network that loses packets, a clock that jumps. */
export class HostWatch implements Component {
  readonly name = 'host-watch'
  readonly after = []
  readonly #dir: string
  readonly #background = new Background()
  readonly #warnings = new Warnings()
  /** The last readings, oldest first. */
  #segments: readonly Segments[] = []
  #losesPackets = false
  #clockMs = 0
  #steppedAt: number | undefined

  /** @param dir whose disk is looked at */
  constructor(dir: string) {
    this.#dir = dir
  }

  get warnings(): readonly string[] {
    return this.#warnings.list()
  }

  start({ log }: StartContext): Promise<void> {
    this.#warnings.clear()
    this.#segments = []
    this.#losesPackets = false
    this.#clockMs = clockDistanceMs()
    this.#background.begin(async (signal) => {
      for (;;) {
        await this.#look(log)
        await sleep(LOOK_EVERY_MS, { signal })
      }
    })
    return Promise.resolve()
  }

  ready(): Promise<void> {
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#background.stop()
  }

  async #look(log: Logger): Promise<void> {
    this.#lookAtClock(log)
    const free = await statfs(this.#dir).catch(() => undefined)
    if (free) this.#warnings.set('disk', littleSpace(this.#dir, free.bavail * free.bsize), log)
    const segments = await readSegments()
    if (segments === undefined) return
    this.#segments = [...this.#segments, segments].slice(-LOSS_LOOKS - 1)
    const lost = lostPackets(this.#segments, this.#losesPackets)
    this.#losesPackets = lost !== undefined
    this.#warnings.set('network', lost, log)
  }

  #lookAtClock(log: Logger): void {
    const nowMs = clockDistanceMs()
    const step = clockStep(this.#clockMs, nowMs)
    this.#clockMs = nowMs
    if (step !== undefined) {
      this.#warnings.set('clock', undefined, log)
      this.#warnings.set('clock', step, log)
      this.#steppedAt = performance.now()
    } else if (this.#steppedAt !== undefined && performance.now() - this.#steppedAt > STEP_STANDS_MS) {
      this.#warnings.set('clock', undefined, log)
      this.#steppedAt = undefined
    }
  }
}

/** Between the clock and one that nobody sets, milliseconds. */
function clockDistanceMs(): number {
  return Date.now() - performance.now()
}

async function readSegments(): Promise<Segments | undefined> {
  try {
    const read = (name: keyof NetFiles): Promise<string> => readFile(`/proc/net/${name}`, 'utf8')
    const [snmp, netstat, dev] = await Promise.all([read('snmp'), read('netstat'), read('dev')])
    return segmentsOf({ snmp, netstat, dev })
  } catch {
    return undefined
  }
}
