import { must, run } from '#inttest/common/run.ts'
import type { Names } from '#inttest/common/names.ts'

/** The switch between the hosts of one cluster: a bridge in the machine's own network namespace. */
export class Network {
  readonly #names: Names

  constructor(names: Names) {
    this.#names = names
  }

  /** The machine's own address on the bridge, and the hosts' gateway. */
  get gateway(): string {
    return `${this.#names.subnet}.1`
  }

  /** Idempotent: a bridge left by a killed run is used again. */
  async create(): Promise<void> {
    const { bridge } = this.#names
    if ((await run(['ip', 'link', 'show', bridge])).code === 0) return
    await must(['ip', 'link', 'add', bridge, 'type', 'bridge'])
    await must(['ip', 'address', 'add', `${this.gateway}/24`, 'dev', bridge])
    await must(['ip', 'link', 'set', bridge, 'up'])
  }

  /** Makes the namespace `netns` with an `eth0` of `address` on the bridge. */
  async connect(netns: string, address: string): Promise<void> {
    const outer = this.outerLink(address)
    await must(['ip', 'netns', 'add', netns])
    await must(['ip', 'link', 'add', outer, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns])
    await must(['ip', 'link', 'set', outer, 'master', this.#names.bridge, 'up'])
    await must(['ip', '-n', netns, 'address', 'add', `${address}/24`, 'dev', 'eth0'])
    await must(['ip', '-n', netns, 'link', 'set', 'lo', 'up'])
    await must(['ip', '-n', netns, 'link', 'set', 'eth0', 'up'])
    await must(['ip', '-n', netns, 'route', 'add', 'default', 'via', this.gateway])
  }

  /**
   * Removes a namespace and its link. The link by name: a namespace lives on for minutes while connections of killed
   * processes time out in it, and would keep the name taken.
   */
  async disconnect(netns: string, address: string): Promise<void> {
    await run(['ip', 'link', 'delete', this.outerLink(address)])
    await run(['ip', 'netns', 'delete', netns])
  }

  /** Pulls the host's cable at the switch: from now on nothing arrives and nobody is told. */
  async unplug(address: string): Promise<void> {
    await must(['ip', 'link', 'set', this.outerLink(address), 'nomaster'])
  }

  /** Puts the cable back. */
  async plug(address: string): Promise<void> {
    await must(['ip', 'link', 'set', this.outerLink(address), 'master', this.#names.bridge])
  }

  /** Name of the switch's end of the host's cable. */
  outerLink(address: string): string {
    return `${this.#names.prefix}${address.slice(address.lastIndexOf('.') + 1)}`
  }

  async remove(): Promise<void> {
    await run(['ip', 'link', 'delete', this.#names.bridge])
  }
}
